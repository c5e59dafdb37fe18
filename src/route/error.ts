import { Reply } from '../wire/socks5.ts';

/**
 * What is wrong with the upstream, or at its far end:
 * `unreachable`: a server cannot be reached or does not speak the protocol; another one may work.
 * `silent`: a server may have the request, but does not answer, closes, or sends something that is no reply;
 * another one may work, and the destination may be to blame.
 * `refused`: a server requires other credentials.
 * `reply`: a server, or one behind it, reports a failure of the request.
 * `unable`: this kind of server cannot carry out the request.
 */
export type Trouble = 'unreachable' | 'silent' | 'refused' | 'reply' | 'unable';

/** The cause: one of garter's own codes, or that of an error, a TLS alert or a reply. */
export type UpstreamCode =
  | 'closed'
  | 'loop'
  | 'method'
  | 'password'
  | 'command'
  | 'address-type'
  | 'relay-address'
  | 'wrong-peer'
  | 'no-certificate'
  | Uppercase<string>
  | `alert-${string}`
  | `reply-${number}`;

/** A failure or refusal of an upstream. Contains no credentials. */
export class UpstreamError extends Error {
  override readonly name = 'UpstreamError';
  readonly trouble: Trouble;
  /** For the record: an error code, or the name of what was refused. */
  readonly code: UpstreamCode;
  /** The reply for the client. */
  readonly reply: Reply;
  #passed: readonly string[] | undefined;
  #at: string | undefined;

  constructor(
    trouble: Trouble,
    label: string,
    code: UpstreamCode,
    reply: Reply = Reply.generalFailure,
    cause?: unknown,
  ) {
    super(`${label}: ${code}`, { cause });
    this.trouble = trouble;
    this.code = code;
    this.reply = reply;
  }

  /** The servers that did their part, the nearest first. */
  get passed(): readonly string[] {
    return this.#passed ?? [];
  }

  /** The server that failed; `undefined` where the last one reports a failure beyond it. */
  get at(): string | undefined {
    return this.#at;
  }

  /** Happened at this server, beyond those that did their part. The first call counts. */
  happenedAt(server: string, passed: readonly string[]): this {
    if (this.#passed !== undefined) return this;
    if (this.trouble === 'reply') {
      this.#passed = [...passed, server];
    } else {
      this.#passed = passed;
      this.#at = server;
    }
    return this;
  }

  /** This kind of server cannot carry out the request, as its protocol or its reply shows. */
  get isUnable(): boolean {
    const { trouble, reply } = this;
    const says = reply === Reply.commandNotSupported || reply === Reply.addressTypeNotSupported;
    return trouble === 'unable' || (trouble === 'reply' && says);
  }
}
