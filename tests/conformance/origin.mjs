// The suite's own origin server: node origin.mjs SUITE
//
// By itself it listens on all addresses, at a port it is told. Here it gets a port of 127.0.0.1 that the kernel chooses
// (it prints which), and ends when standard input does, that is with whoever started it.

import net from 'node:net'
import { engine } from './layout.mjs'

const listen = net.Server.prototype.listen
net.Server.prototype.listen = function () {
  return listen.call(this, 0, '127.0.0.1')
}

Object.assign(process.env, { npm_config_protocol: 'http', npm_config_port: '0', npm_config_pidfile: '/dev/null' })
await import(`${engine}/server/server.mjs`)

process.stdin.on('end', () => process.exit()).resume()
