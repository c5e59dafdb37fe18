import type { Command } from '../policy/policy.ts';
import type { End, EndDetail, EndedBy, Phase } from '../audit/record.ts';
import { UpstreamError } from '../route/error.ts';
import type { Refused } from '../route/judge.ts';
import { isShortage, replyTo } from '../route/reply.ts';
import { codeOf } from '../wire/error-code.ts';
import { WireError } from '../wire/error.ts';
import { Reply } from '../wire/socks5.ts';

/**
 * The end of a connection that cannot continue: its end in the record, and the reply to its client if one is
 * still due.
 */
export class Failure extends Error implements End {
  override readonly name = 'Failure';
  readonly by: EndedBy;
  readonly phase: Phase;
  readonly detail?: EndDetail;
  readonly reply: Reply;

  constructor(
    by: EndedBy,
    phase: Phase,
    detail?: EndDetail,
    reply: Reply = Reply.generalFailure,
    cause?: unknown,
  ) {
    super(`${by}:${phase}${detail === undefined ? '' : `:${detail}`}`, { cause });
    this.by = by;
    this.phase = phase;
    if (detail !== undefined) this.detail = detail;
    this.reply = reply;
  }

  /** The upstream server that failed. */
  get at(): string | undefined {
    const { cause } = this;
    return cause instanceof UpstreamError ? cause.at : undefined;
  }

  /** True for a fault in garter's own code. */
  get isBug(): boolean {
    return this.by === 'internal' && this.detail === undefined;
  }

  /** Not allowed by a rule (RFC 1928 reply 2). */
  static refusal(detail: EndDetail, phase: Phase = 'request'): Failure {
    return new Failure('policy', phase, detail, Reply.notAllowed);
  }

  /** A refusal by the judge. */
  static ofVerdict({ reason, route }: Refused, command: Command): Failure {
    switch (reason) {
      case 'command':
      case 'encrypted':
        return new Failure('upstream', CARRIED_IN[command], reason, Reply.commandNotSupported);
      case 'address-type':
        return new Failure(
          route?.via === 'direct' ? 'target' : 'upstream',
          CARRIED_IN[command],
          reason,
          Reply.addressTypeNotSupported,
        );
      case 'family':
        return new Failure('policy', 'request', reason, Reply.addressTypeNotSupported);
      default:
        return Failure.refusal(reason);
    }
  }

  /** Closed by an accept rule, whose name is the detail, or because none allows it. */
  static atAccept(rule: string | undefined): Failure {
    return Failure.refusal((rule ?? 'no-rule') as EndDetail, 'accept');
  }

  /** A limit is exhausted (RFC 1928 reply 2). */
  static limit(name: EndDetail, phase: Phase): Failure {
    return new Failure('limit', phase, name, Reply.notAllowed);
  }

  /** The client's connection failed. */
  static ofClient(error: unknown, phase: Phase): Failure {
    return new Failure('client', phase, codeOf(error), Reply.generalFailure, error);
  }

  /** Attributes an error of the network or a peer to the current `phase`. */
  static from(error: unknown, phase: Phase): Failure {
    if (error instanceof Failure) return error;
    if (error instanceof UpstreamError) {
      const by = error.trouble === 'reply' ? 'target' : 'upstream';
      return new Failure(by, phase, error.code, error.reply, error);
    }
    if (error instanceof WireError)
      return new Failure('client', phase, error.code, Reply.generalFailure, error);
    const code = error instanceof TypeError ? undefined : codeOf(error);
    if (code === undefined) return new Failure('internal', phase, undefined, Reply.generalFailure, error);
    const by = isShortage(code) ? 'internal' : BLAME[phase];
    return new Failure(by, phase, code, replyTo(code), error);
  }
}

/** The phase in which a request would have continued if an upstream could carry it. */
const CARRIED_IN: Readonly<Record<Command, Phase>> = {
  connect: 'dial',
  bind: 'bind',
  udp: 'request',
  resolve: 'resolve',
};

/** The party to blame when a socket fails in this phase. */
const BLAME: Readonly<Record<Phase, EndedBy>> = {
  accept: 'client',
  greeting: 'client',
  auth: 'client',
  request: 'client',
  resolve: 'target',
  dial: 'target',
  bind: 'internal',
  relay: 'target',
};
