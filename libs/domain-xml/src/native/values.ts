/**
 * The `key=value,…` words of one option, or their JSON form, as a table that knows what has been read from it: what nobody
 * reads was not understood.
 */
import { NotUnderstood } from './not-understood';

export class Values {
  readonly #values = new Map<string, string[]>();
  readonly #unread = new Set<string>();

  /** @param implied the key of a first word without one: `driver` in `-device e1000,netdev=n0` */
  static read(text: string, implied?: string): Values {
    const values = new Values();
    if (text.startsWith('{')) values.#addJson('', parseJson(text));
    else values.#addWords(text, implied);
    return values;
  }

  #addWords(text: string, implied: string | undefined): void {
    if (text === '') return;
    splitCommas(text).forEach((word, position) => {
      const equals = word.indexOf('=');
      if (equals > 0 && !(position === 0 && implied !== undefined && /[^\w.-]/.test(word.slice(0, equals))))
        this.#add(word.slice(0, equals), word.slice(equals + 1));
      else if (position === 0 && implied !== undefined) this.#add(implied, word);
      // An option that is named alone is switched on; `nowait` and its like are switched off.
      else if (word.startsWith('no') && word.length > 4) this.#add(word.slice(2), 'off');
      else this.#add(word, 'on');
    });
  }

  #addJson(path: string, value: unknown): void {
    if (Array.isArray(value)) value.forEach((one, index) => this.#addJson(`${path}.${index}`, one));
    else if (typeof value === 'object' && value !== null)
      for (const [key, one] of Object.entries(value)) this.#addJson(path === '' ? key : `${path}.${key}`, one);
    else this.#add(path, typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value));
  }

  #add(key: string, value: string): void {
    this.#unread.add(key);
    const list = this.#values.get(key);
    if (list) list.push(value);
    else this.#values.set(key, [value]);
  }

  /** Without reading it. */
  peek(key: string): string | undefined {
    return this.#values.get(key)?.at(-1);
  }

  /** The last value under the first of these names that is there; spellings with `-` and `_` are one. */
  take(...names: string[]): string | undefined {
    for (const name of names) {
      for (const key of new Set([name, name.replaceAll('-', '_'), name.replaceAll('_', '-')])) {
        const value = this.peek(key);
        if (value === undefined) continue;
        this.#unread.delete(key);
        return value;
      }
    }
    return undefined;
  }

  /** Throws NotUnderstood for a value that is neither on nor off. */
  takeFlag(...names: string[]): boolean | undefined {
    const value = this.take(...names);
    if (value === undefined) return undefined;
    if (/^(on|yes|true|y)$/.test(value)) return true;
    if (/^(off|no|false|n)$/.test(value)) return false;
    throw new NotUnderstood(`${names[0]} is neither on nor off`);
  }

  /** Throws NotUnderstood for a value that is no number. */
  takeNumber(...names: string[]): number | undefined {
    const value = this.take(...names);
    if (value === undefined) return undefined;
    if (/^(0x[\da-f]+|\d+)$/i.test(value)) return Number(value);
    throw new NotUnderstood(`${names[0]}=${value} is no number`);
  }

  /** Every value under a name that may be repeated. */
  takeAll(name: string): string[] {
    this.#unread.delete(name);
    return this.#values.get(name) ?? [];
  }

  /** All that nobody has read yet: for options whose keys are a guest's own. */
  takeRest(): [key: string, value: string][] {
    return [...this.#unread].map((key) => [key, this.take(key)!]);
  }

  /** All is read: what it says is told elsewhere, or is not the document's affair. */
  ignore(): void {
    this.#unread.clear();
  }

  /** What nobody has read, as it would be written. */
  unread(): string[] {
    return [...this.#unread].flatMap((key) =>
      this.#values.get(key)!.map((value) => `${key}=${value.replaceAll(',', ',,')}`),
    );
  }
}

/** Words between single commas; a doubled one stands for itself. */
function splitCommas(text: string): string[] {
  const words: string[] = [];
  let word = '';
  for (let at = 0; at < text.length; at++) {
    const char = text[at]!;
    if (char !== ',') word += char;
    else if (text[at + 1] === ',') {
      word += ',';
      at++;
    } else {
      words.push(word);
      word = '';
    }
  }
  return [...words, word];
}

function parseJson(text: string): unknown {
  try {
    // A WWN has more digits than a number keeps.
    return JSON.parse(text.replace(/(:\s*)(\d{16,})(?=\s*[,}])/g, '$1"$2"'));
  } catch {
    throw new NotUnderstood('it is no JSON');
  }
}
