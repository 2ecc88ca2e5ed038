/**
 * Who is at a command: a copy of a service that is killed over one answers nobody. Whoever waits for its answer asks the copies
 * that are there, and gives it to another one, under its id: of a storage service that is the next process.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Bus } from './connection';
import { answerForCopy, askEveryCopy } from './every-copy';
import type { Endpoint } from './serve';

/** Between two looks, milliseconds. Most commands are answered before the first. */
const lookMs = 3_000;
/** For how long the copies are waited for, milliseconds. */
const patienceMs = 2_000;
/** Looks that find the same until it is believed: an answer may be on its way. */
const believedAfter = 2;

/** The commands that this copy is at, told to whoever asks. */
export class AtWork {
  private readonly commands: string[] = [];

  /** @param subject one of `atWorkSubject` */
  constructor(bus: Bus, subject: string) {
    answerForCopy(bus, subject, (asked) =>
      this.commands.includes((asked as { command?: string } | null | undefined)?.command ?? ''),
    );
  }

  /** The same endpoint, whose commands are told of. */
  through(endpoint: Endpoint): Endpoint {
    return {
      ...endpoint,
      handler: async (request, call) => {
        this.commands.push(call.id);
        try {
          return await endpoint.handler(request, call);
        } finally {
          this.commands.splice(this.commands.indexOf(call.id), 1);
        }
      },
    };
  }
}

/** Resolves when copies are there and none of them is at the command. Never where none says so: it may be one of the last release. */
export async function untilAbandoned(
  bus: Bus,
  subject: string,
  command: string,
  signal: AbortSignal,
): Promise<undefined> {
  for (let times = 0; times < believedAfter;) {
    await sleep(lookMs, undefined, { ref: false, signal });
    const answers = await askEveryCopy(bus, subject, patienceMs, { command }).catch(() => []);
    times = answers.length > 0 && answers.every((isAtWork) => isAtWork === false) ? times + 1 : 0;
  }
}
