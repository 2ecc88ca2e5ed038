/** The command line of `npm run bench`. */
import { parseArgs } from 'node:util';

export interface Arguments {
  /** Benchmarks to run; all when empty. */
  names: string[];
  json: string | undefined;
  runs: number | undefined;
  withLibvirt: boolean;
  withoutLibvirt: boolean;
  help: boolean;
}

/** @throws Error with one line on what is wrong. */
export function parseArguments(argv: readonly string[], known: readonly string[]): Arguments {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      json: { type: 'string' },
      runs: { type: 'string' },
      'with-libvirt': { type: 'boolean', default: false },
      'without-libvirt': { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const unknown = positionals.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Error(`there is no benchmark '${unknown}'; there are: ${known.join(', ')}`);
  const runs = values.runs === undefined ? undefined : Number(values.runs);
  if (runs !== undefined && !(Number.isInteger(runs) && runs > 0)) {
    throw new Error(`--runs must be a number of at least 1, not '${values.runs}'`);
  }
  const { json, help, 'with-libvirt': withLibvirt, 'without-libvirt': withoutLibvirt } = values;
  if (withLibvirt && withoutLibvirt) throw new Error('--with-libvirt and --without-libvirt exclude each other');
  return { names: positionals, json, runs, withLibvirt, withoutLibvirt, help };
}
