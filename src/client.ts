/** The client library: connections through a SOCKS server. It has no dependencies. */
export { connect } from './client/connect.ts';
export type { ConnectOptions } from './client/connect.ts';
export { ProxyError } from './client/error.ts';
export type { ProxyErrorCode } from './client/error.ts';
export { parseProxy } from './client/proxy.ts';
export type { Proxy, ProxyScheme } from './client/proxy.ts';
export { WireError } from './wire/error.ts';
export type { WireErrorCode } from './wire/error.ts';
