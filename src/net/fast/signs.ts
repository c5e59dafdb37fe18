import type { Duplex } from 'node:stream';
import { handleOf } from '../portable/handle.ts';
import { signs } from '../portable/signs.ts';
import type { Signs } from '../portable/signs.ts';
import { answers, takeError } from '../../sys/socket.ts';

/** The same for a stream that was passed to Node; here the kernel can be asked. */
export const kernelSigns: Signs = {
  isReset: (stream) => signs.isReset(stream) || takeError(fdOf(stream)) > 0,
  answers: (stream, milliseconds) => answers(fdOf(stream), milliseconds),
};

/** -1 if there is none. */
function fdOf(stream: Duplex): number {
  return handleOf(stream)?.fd ?? -1;
}
