/** The console of a guest as a person would use it: read line by line, typed into. */
import { openConsole } from '@virtbus/shared';
import { call, clientStream, newId, type Bus } from '@virtbus/shared/bus';

const patienceMs = 120_000;

/** The guest's console, read line by line. */
export class Console {
  private text = '';
  private waiting: (() => void)[] = [];
  private constructor(private readonly write: (bytes: Uint8Array) => Promise<void>) {}

  static async open(bus: Bus, uuid: string): Promise<Console> {
    const session = newId();
    const decoder = new TextDecoder();
    const stream = clientStream(bus, session, (bytes) => console.take(decoder.decode(bytes, { stream: true })));
    const console = new Console((bytes) => stream.write(bytes));
    const { input } = await call(bus, openConsole, { session, force: true }, { target: uuid });
    stream.connect(input);
    return console;
  }

  /** Wait for a line with these words, passing on each line until then. */
  async shows(words: string, each: (line: string) => void): Promise<void> {
    const deadline = Date.now() + patienceMs;
    for (;;) {
      for (let end = this.text.indexOf('\n'); end >= 0; end = this.text.indexOf('\n')) {
        const line = this.text.slice(0, end).replaceAll(/[\x00-\x08\x0b-\x1f]/g, '');
        this.text = this.text.slice(end + 1);
        if (line.trim()) each(line);
        if (line.includes(words)) return;
      }
      await this.more(deadline, words);
    }
  }

  /** Type a line, again if need be, until the answer is there. */
  async answers(line: string, words: string): Promise<void> {
    const deadline = Date.now() + patienceMs;
    await this.write(new TextEncoder().encode(`${line}\n`));
    while (!this.text.includes(words)) await this.more(deadline, words);
    this.text = '';
  }

  private take(text: string): void {
    this.text += text;
    const waiting = this.waiting;
    this.waiting = [];
    for (const go of waiting) go();
  }

  private more(deadline: number, words: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`the console did not show '${words}'; last: ${this.text.slice(-200)}`)),
        deadline - Date.now(),
      );
      this.waiting.push(() => (clearTimeout(timer), resolve()));
    });
  }
}
