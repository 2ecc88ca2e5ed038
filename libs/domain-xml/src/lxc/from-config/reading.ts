/** What the parts of the conversion share: the settings, who has read them, and what was wrong with them. */
import { Faults, rememberLine } from '../../schema';
import type { Warning } from '../../schema/parse';
import { readSettings, type Setting } from './settings';

export class Reading {
  readonly faults = new Faults();
  readonly settings: readonly Setting[];
  readonly #used = new Set<Setting>();
  readonly #warnings: Warning[] = [];

  constructor(text: string) {
    this.settings = readSettings(text, this.faults);
  }

  /** The last value of a key; an empty one takes back what was said before. */
  last(key: string): Setting | undefined {
    const found = this.all(key);
    return found[found.length - 1];
  }

  /** All values of a key since the last empty one. */
  all(key: string): Setting[] {
    return this.matching((name) => name === key);
  }

  matching(wanted: (key: string) => boolean): Setting[] {
    let found: Setting[] = [];
    for (const setting of this.settings) {
      if (!wanted(setting.key)) continue;
      this.use(setting);
      if (setting.value === '') found = found.filter(({ key }) => key !== setting.key);
      else found.push(setting);
    }
    return found;
  }

  /** Notes that a setting has been understood. */
  use(setting: Setting): void {
    this.#used.add(setting);
  }

  /** Something that gets lost, though the rest of the setting does not. */
  warn({ key, line }: Setting, detail: string): void {
    this.#warnings.push({ detail: `${key}: ${detail}`, line });
  }

  refuse({ key, line }: Setting, detail: string): undefined {
    this.faults.add('CONFIG_UNSUPPORTED', `${key}: ${detail}`, { element: key, line });
    return undefined;
  }

  /** A whole number that is not negative, with liblxc's suffixes for sizes. */
  size(setting: Setting): number | undefined {
    const bytes = sizeOf(setting.value);
    return bytes ?? this.refuse(setting, `'${setting.value}' is no size in bytes`);
  }

  integer(setting: Setting): number | undefined {
    return /^-?\d{1,15}$/.test(setting.value)
      ? Number(setting.value)
      : this.refuse(setting, `'${setting.value}' is no number`);
  }

  /** What got lost, in the order of the lines: settings that nobody asked for, and parts of others. */
  warnings(): Warning[] {
    const unread = this.settings
      .filter((setting) => !this.#used.has(setting))
      .map(({ key, line }) => ({ detail: `'${key}' has no counterpart in a domain document`, line }));
    return [...unread, ...this.#warnings].sort((a, b) => a.line - b.line);
  }
}

/** A part of the model that knows the line it came from. */
export function at<T extends object>({ line }: Setting, part: T): T {
  rememberLine(part, line);
  return part;
}

const suffixes: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

/** Bytes in `8m`, `8M`, `8MB` or `8388608`. */
export function sizeOf(text: string): number | undefined {
  const match = /^(\d{1,15})([kmgt]?)b?$/i.exec(text);
  if (!match) return undefined;
  const bytes = Number(match[1]) * (suffixes[(match[2] ?? '').toLowerCase()] ?? 1);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}
