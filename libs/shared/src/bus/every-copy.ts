/** A question to every copy of a service, where a call reaches one of them. */
import { headers, RequestStrategy } from 'nats';
import { decode, encode } from './codec';
import type { Bus } from './connection';

/** An answer is waited for until none has come for so long, milliseconds. How many copies there are nobody knows. */
const silenceMs = 500;

/** Answer whoever asks all copies, for as long as the connection lasts. A question that cannot be read gets none. */
export function answerForCopy(bus: Bus, subject: string, answer: (asked: unknown) => unknown): void {
  bus.nc.subscribe(subject, {
    callback: (error, message) => {
      if (error || !message.reply) return;
      let asked: unknown;
      try {
        asked = message.data.length > 0 ? decode(message.data) : undefined;
      } catch {
        return;
      }
      const h = headers();
      message.respond(bus.bodies.outgoing(encode(answer(asked), 'msgpack'), h), { headers: h });
    },
  });
}

/** What the copies answer; one that hangs, or whose answer cannot be read, is not among them. @param timeoutMs for all of them together */
export async function askEveryCopy(bus: Bus, subject: string, timeoutMs: number, asked?: unknown): Promise<unknown[]> {
  const how = { strategy: RequestStrategy.JitterTimer, maxWait: timeoutMs, jitter: silenceMs };
  const answers: Promise<unknown>[] = [];
  const body = asked === undefined ? undefined : encode(asked, 'msgpack');
  for await (const message of await bus.nc.requestMany(subject, body, how)) {
    answers.push(bus.bodies.incoming(message.data, message.headers, timeoutMs).then(decode));
  }
  const ended = await Promise.allSettled(answers);
  return ended.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
}
