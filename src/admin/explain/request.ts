import type { Server } from '../../server/server.ts';
import { readParameters, Refusal } from '../refusal.ts';
import { outcomeOf } from './outcome.ts';
import type { Outcome } from './outcome.ts';
import { QUESTION_OPTIONS, readQuestion, UsageError } from './question.ts';

const PARAMETERS = Object.keys(QUESTION_OPTIONS) as (keyof typeof QUESTION_OPTIONS)[];

/** GET /v1/explain: what the running server would answer to a request; the parameters are the options of `garter check`. */
export async function explain(server: Server, parameters: URLSearchParams): Promise<Outcome> {
  const { address: _, ...options } = readParameters(parameters, PARAMETERS, ['address']);
  try {
    const question = readQuestion({ ...options, address: parameters.getAll('address') }, Date.now());
    const user = question.user === undefined ? undefined : server.userNamed(question.user);
    const users = user === undefined ? [] : [user];
    return await outcomeOf(server.settings, users, question, server.basis);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new Refusal(400, 'parameter', error.message);
  }
}
