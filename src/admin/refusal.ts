/** An error response: the code is for programs, the message for people. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  /** The HTTP status. */
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** The parameters by name. Throws a Refusal for one that is unknown, or given twice without being `several`. */
export function readParameters<Name extends string>(
  parameters: URLSearchParams,
  names: readonly Name[],
  several: readonly Name[] = [],
): { readonly [K in Name]?: string } {
  const read: { [K in Name]?: string } = {};
  for (const [name, value] of parameters) {
    const known = names.find((one) => one === name);
    if (known === undefined)
      throw new Refusal(400, 'parameter', `there is no parameter ${name}; there are ${names.join(', ')}`);
    if (read[known] !== undefined && !several.includes(known))
      throw new Refusal(400, 'parameter', `the parameter ${name} is given twice`);
    read[known] = value;
  }
  return read;
}
