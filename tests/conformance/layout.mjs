// Where the suite given on the command line keeps its programs: at the top up to 0.4.5, since then in a folder.

import { existsSync } from 'node:fs'
import { resolve } from 'node:path'

export const suite = resolve(process.argv[2])
export const isNewer = existsSync(`${suite}/test-engine`)
export const engine = isNewer ? `${suite}/test-engine` : suite
