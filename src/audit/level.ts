export const Level = { error: 0, warn: 1, info: 2, debug: 3 } as const;
export type Level = keyof typeof Level;
