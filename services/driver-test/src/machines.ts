/**
 * The simulated machines of a host: one file each, named by its domain's uuid, in a folder that does not outlive a boot of
 * the host. A machine is its file: it goes on without us, and it has ended when somebody has removed the file.
 */
import { existsSync, readFileSync, renameSync, rmSync, watch, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { makeFolder } from '@virtbus/shared/files';
import { z } from 'zod';

export const Machine = z.object({
  status: z.enum(['running', 'paused']),
  /** When it was started, milliseconds since 1970. */
  since: z.number(),
});
export type Machine = z.infer<typeof Machine>;

export class Machines {
  private readonly watched = new Map<string, () => void>();

  constructor(private readonly folder: string) {
    // Those above it are other drivers' too.
    makeFolder(dirname(folder), 0o711);
    makeFolder(folder, 0o700);
    watch(folder, { persistent: false }, (_event, uuid) => {
      if (uuid === null) for (const one of this.watched.keys()) this.look(one);
      else this.look(uuid);
    });
  }

  /** Undefined when there is none, or its file makes no sense. */
  read(uuid: string): Machine | undefined {
    try {
      return Machine.parse(JSON.parse(readFileSync(join(this.folder, uuid), 'utf8')));
    } catch {
      return undefined;
    }
  }

  write(uuid: string, machine: Machine): void {
    // A machine does not end with a driver that is killed over its file.
    const part = join(this.folder, `.${uuid}`);
    writeFileSync(part, JSON.stringify(machine), { mode: 0o600 });
    renameSync(part, join(this.folder, uuid));
  }

  end(uuid: string): void {
    this.watched.delete(uuid);
    rmSync(join(this.folder, uuid), { force: true });
  }

  /** Call back once when the machine has ended by itself. */
  onEnd(uuid: string, listener: () => void): void {
    this.watched.set(uuid, listener);
    this.look(uuid);
  }

  forget(uuid: string): void {
    this.watched.delete(uuid);
  }

  private look(uuid: string): void {
    const listener = this.watched.get(uuid);
    if (!listener || existsSync(join(this.folder, uuid))) return;
    this.watched.delete(uuid);
    listener();
  }
}
