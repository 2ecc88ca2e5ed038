/** Running a command inside a container over the bus, for tests. */
import { execInDomain, exitCodeOf } from '@virtbus/shared';
import { call, clientStream, newId, type Bus } from '@virtbus/shared/bus';

export interface Ran {
  code: number | undefined;
  out: string;
  err: string;
}

/** Each kind of container with `VIRTBUS_LXC_SUBIDS` for it, as `describe.each` takes them. */
export const kindsOfContainers = [
  ['a privileged container', 'none'],
  ['an unprivileged container', '300000:65536'],
] as const;

/** What a command wrote; of one that failed its exit code and errors. */
export async function shownInside(bus: Bus, domain: string, ...command: string[]): Promise<string> {
  const { code, out, err } = await runInside(bus, domain, command);
  return code === 0 ? out : `${code} ${err}`;
}

/** What it wrote, and its exit code; `input` is all that its standard input has. */
export async function runInside(bus: Bus, domain: string, command: string[], input = ''): Promise<Ran> {
  const ids = { session: newId(), errors: newId() };
  const out: Uint8Array[] = [];
  const err: Uint8Array[] = [];
  const output = clientStream(bus, ids.session, (bytes) => void out.push(bytes));
  const errors = clientStream(bus, ids.errors, (bytes) => void err.push(bytes));
  try {
    const { input: subject } = await call(bus, execInDomain, { ...ids, command }, { target: domain });
    output.connect(subject);
    await output.write(Buffer.from(input));
    await output.finish();
    const code = exitCodeOf(await output.ended);
    return { code, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() };
  } finally {
    output.end();
    errors.end();
  }
}
