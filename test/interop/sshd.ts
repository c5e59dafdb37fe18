import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { check, start } from '../support/process.ts';
import type { Daemon } from '../support/process.ts';

/** sshd on port 22 of an address; its client key is created in the folder. `prefix`: where it runs. */
export async function startSshd(
  prefix: readonly string[],
  address: string,
  directory: string,
): Promise<Daemon> {
  const [hostKey, userKey, authorized] = ['host', 'user', 'authorized'].map((name) => join(directory, name));
  for (const key of [hostKey!, userKey!])
    await check(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', key]);
  await copyFile(`${userKey}.pub`, authorized!);
  await mkdir('/run/sshd', { recursive: true }); // sshd's chroot, which a service creates at boot
  const options = [
    'Port=22',
    `ListenAddress=${address}`,
    `HostKey=${hostKey}`,
    `AuthorizedKeysFile=${authorized}`,
    'StrictModes=no',
    'PidFile=none',
  ].flatMap((option) => ['-o', option]);
  const sshd = ['/usr/sbin/sshd', '-D', '-e', '-f', '/dev/null', ...options];
  return start([...prefix, ...sshd], { ready: /Server listening/ });
}

/** An ssh that uses this key and never prompts. */
export function sshWithKey(directory: string, options: readonly string[] = []): readonly string[] {
  const all = [
    ...options,
    `IdentityFile=${join(directory, 'user')}`,
    'StrictHostKeyChecking=no',
    'UserKnownHostsFile=/dev/null',
    'BatchMode=yes',
  ];
  return ['ssh', '-F', 'none', ...all.flatMap((option) => ['-o', option])];
}
