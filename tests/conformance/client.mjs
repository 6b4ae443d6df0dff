// The suite's own client and judge: node client.mjs SUITE BASE-URL
//
// Prints a line for each test, its fields parted by tabs: group, id, kind, result, message. The suite's own command
// line prints what was found but no results: it leaves them to a web page, whose function for it is called here.

import { createRequire } from 'node:module'
import { engine, isNewer, suite } from './layout.mjs'

// Most tests pause for three seconds, so as many as 0.4.5 has beside each other by itself.
const TESTS_AT_ONCE = 100
// A run takes some 15 s; an answer that never comes would keep it for ever.
const PATIENCE_MS = 120_000

// The judge gives a glyph, a colour and this symbol.
const RESULTS = new Map([
  ['-', 'untested'],
  ['✅', 'pass'],
  ['⛔️', 'fail'],
  ['⚠️', 'optional-fail'],
  ['Y', 'yes'],
  ['N', 'no'],
  ['🔹', 'setup-fail'],
  ['⁉️', 'harness-fail'],
  ['⚪️', 'dependency-fail'],
  ['↻', 'retry']
])

const { default: groups } = await import(`${suite}/tests/index.mjs`)
const { runTests, getResults } = await import(`${engine}/client/runner.mjs`)
const { determineTestResult } = await import(`${engine}/lib/${isNewer ? 'results' : 'display'}.mjs`)

const base = process.argv[3]
const patience = setTimeout(() => fail('not every test has ended'), PATIENCE_MS)
if (isNewer) {
  await runTests(groups, false, base, TESTS_AT_ONCE)
} else {
  groups.push((await import(`${suite}/tests/surrogate-control.mjs`)).default)
  const fetch = createRequire(`${suite}/`)('node-fetch')
  await runTests(groups, fetch, false, base, TESTS_AT_ONCE)
}
clearTimeout(patience)

const found = getResults()
for (const group of groups) {
  for (const test of group.tests) {
    if (test.browser_only) continue
    const symbol = determineTestResult(groups, test.id, found)[2]
    const result = RESULTS.get(symbol) ?? fail(`${test.id}: ${symbol} is no result`)
    // True, or the name of the error and what it says.
    const message = [found[test.id] ?? []].flat().filter(part => part !== true).join(': ').replace(/\s+/g, ' ')
    console.log([group.id, test.id, test.kind ?? 'required', result, message].join('\t'))
  }
}
process.exit()

function fail (why) {
  console.error(why)
  process.exit(1)
}
