/** Where a command's words go: standard output for what was asked for, standard error for all that is said beside it. */
export interface Streams {
  stdout: NodeJS.WritableStream & { isTTY?: boolean; columns?: number };
  stderr: NodeJS.WritableStream & { isTTY?: boolean; columns?: number };
  env: NodeJS.ProcessEnv;
}

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow';
const codes: Record<Style, readonly [number, number]> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
};

/** Colours a text, or leaves it as it is. */
export type Paint = (style: Style, text: string) => string;
export const plain: Paint = (_style, text) => text;

export class Output {
  /** Colours only for a person at a terminal who has not asked for none (https://no-color.org). */
  readonly paint: Paint;
  private statusShown = false;

  constructor(
    private readonly streams: Streams,
    readonly json: boolean,
  ) {
    const { stdout, env } = streams;
    const coloured = stdout.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb' && !json;
    this.paint = coloured ? (style, text) => `\u001b[${codes[style][0]}m${text}\u001b[${codes[style][1]}m` : plain;
  }

  /** The answer: as one JSON document with `--json`, else in words. Empty words print nothing. */
  show(value: unknown, words: () => string): void {
    if (this.json) this.write(`${JSON.stringify(value, null, 2)}\n`);
    else {
      const text = words();
      if (text) this.write(text.endsWith('\n') ? text : `${text}\n`);
    }
  }

  /** One of many: a line of JSON with `--json`, else a line of words. */
  item(value: unknown, words: () => string): void {
    this.write(`${this.json ? JSON.stringify(value) : words()}\n`);
  }

  write(text: string | Uint8Array): void {
    this.clearStatus();
    this.streams.stdout.write(text);
  }

  /** Bytes of somebody else's standard error. */
  writeError(bytes: Uint8Array): void {
    this.clearStatus();
    this.streams.stderr.write(bytes);
  }

  /** Said beside the answer, also with `--json`. */
  note(text: string): void {
    this.clearStatus();
    this.streams.stderr.write(`${text}\n`);
  }

  /** A person looks at standard error and did not ask for JSON. */
  get watched(): boolean {
    return this.streams.stderr.isTTY === true && !this.json;
  }

  /** Replaces the line the terminal's cursor is on; gone with the next words. */
  status(text: string): void {
    if (!this.watched) return;
    this.clearStatus();
    const width = (this.streams.stderr.columns || 80) - 1;
    this.streams.stderr.write(text.slice(0, width));
    this.statusShown = true;
  }

  clearStatus(): void {
    if (this.statusShown) this.streams.stderr.write('\r\u001b[K');
    this.statusShown = false;
  }
}
