import { Reply } from '../wire/socks5.ts';

/**
 * Something is wrong with the upstream, or at its far end:
 * `unreachable`: a server cannot be reached, or does not speak the protocol, and another one may do.
 * `silent`: it may have the request, and does not answer, closes or answers what is no reply; another one may do, and the destination may be to blame.
 * `refused`: it wants other credentials. `reply`: it, or one behind it, says what became of the request. `unable`: this kind
 * of server cannot do what is asked for.
 */
export type Trouble = 'unreachable' | 'silent' | 'refused' | 'reply' | 'unable';

/** What failed, in words of garter's own, or the code of an error, a TLS alert or a reply. */
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

/** An upstream failed, or refused. It holds no credentials. */
export class UpstreamError extends Error {
  override readonly name = 'UpstreamError';
  readonly trouble: Trouble;
  /** For the record: an error code, or what was refused. */
  readonly code: UpstreamCode;
  /** What the client is told. */
  readonly reply: Reply;

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
  /** This kind of server cannot do what is asked for, as we know or as it says itself. */
  get isUnable(): boolean {
    const { trouble, reply } = this;
    const says = reply === Reply.commandNotSupported || reply === Reply.addressTypeNotSupported;
    return trouble === 'unable' || (trouble === 'reply' && says);
  }
}
