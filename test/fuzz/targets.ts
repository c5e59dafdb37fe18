import type { Target } from './target.ts';

/**
 * All targets. They are loaded after the coverage was started: V8 only covers code in blocks that is loaded
 * later.
 */
export async function loadTargets(): Promise<readonly Target[]> {
  const files = await Promise.all([
    import('./targets/wire.ts'),
    import('./targets/http.ts'),
    import('./targets/tls-alert.ts'),
    import('./targets/handshake-server.ts'),
    import('./targets/handshake-client.ts'),
    import('./targets/reassembly.ts'),
    import('./targets/association.ts'),
    import('./targets/dns-message.ts'),
    import('./targets/dns-services.ts'),
    import('./targets/names.ts'),
    import('./targets/policy.ts'),
    import('./targets/log-line.ts'),
    import('./targets/users-file.ts'),
    import('./targets/proxy-url.ts'),
    import('./targets/config.ts'),
  ]);
  return files.flatMap(({ targets }) => targets);
}
