/**
 * Questions to QEMU's own description of QMP (`query-qmp-schema`): does a command, member, variant or value exist?
 *
 * Type names in the schema are opaque numbers, so a question is a path from a command or event:
 *   `blockdev-add/arg-type/+file/aio/^io_uring`
 * where `arg-type` and `ret-type` enter a command, a plain word enters a member, `+x` the variant x of a union, and the
 * last step may be `^x` (value x of an enum) or `$x` (feature x). Arrays are entered without being named.
 */
import type { SchemaEntry } from './answers';

export class QmpSchema {
  private readonly entries: ReadonlyMap<string, SchemaEntry>;

  constructor(entries: readonly SchemaEntry[]) {
    this.entries = new Map(entries.map((entry) => [entry.name, entry]));
  }

  has(path: string): boolean {
    const [root, ...steps] = path.split('/');
    let at: SchemaEntry | undefined = this.entries.get(root!);
    for (const step of steps) {
      if (!at) return false;
      const name = step.slice(1);
      if (step.startsWith('^')) return at.values?.includes(name) ?? false;
      if (step.startsWith('$')) return at.features?.includes(name) ?? false;
      if (step.startsWith('+')) at = this.type(at.variants?.find((variant) => variant.case === name)?.type);
      else if (step === 'arg-type' || step === 'ret-type') at = this.type(at[step]);
      else at = this.type(at.members?.find((member) => member.name === step)?.type);
    }
    return at !== undefined;
  }

  private type(name: string | undefined): SchemaEntry | undefined {
    const entry = name === undefined ? undefined : this.entries.get(name);
    return entry?.['meta-type'] === 'array' ? this.type(entry['element-type']) : entry;
  }
}
