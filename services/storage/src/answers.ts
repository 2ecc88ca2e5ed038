/**
 * The answers that commands got, on disk for a day: a command id that comes again gets its first answer again, also
 * after a restart, and the work is not done twice. An id is one command's: another operation under it is refused.
 */
import { join } from 'node:path';
import { isVirtError, VirtError, type ErrorBody } from '@virtbus/shared';
import type { Endpoint } from '@virtbus/shared/bus';
import type { Intents } from './intents';
import { KeptFiles } from './kept-files';

/** Answers for which there is no room on disk, that are kept in memory. */
const mostUnwritten = 1_000;

interface Answer {
  operation: string;
  response?: unknown;
  error?: ErrorBody;
}

export class Answers {
  private readonly underWay = new Map<string, { operation: string; work: Promise<unknown> }>();
  /** Those for which there was no room on disk: what was done is answered all the same. */
  private readonly unwritten = new Map<string, Answer>();
  private readonly files: KeptFiles;

  /** @param intents of commands that are not answered yet */
  constructor(
    stateFolder: string,
    private readonly intents: Intents,
  ) {
    this.files = new KeptFiles(join(stateFolder, 'answered'));
  }

  /** The same endpoint, for which a command id counts once. */
  once(endpoint: Endpoint): Endpoint {
    return {
      ...endpoint,
      handler: (request, call) => {
        const { id } = call;
        const operation = endpoint.name;
        const running = this.underWay.get(id);
        if (running) return running.operation === operation ? running.work : reused(id, running.operation);
        const known = this.read(id);
        if (known) {
          if (known.operation !== operation) return reused(id, known.operation);
          if (known.error) throw VirtError.fromBody(known.error);
          return known.response;
        }
        const work = this.perform(id, operation, async () => endpoint.handler(request, call));
        this.underWay.set(id, { operation, work });
        return work.finally(() => this.underWay.delete(id));
      },
    };
  }

  private async perform(id: string, operation: string, work: () => Promise<unknown>): Promise<unknown> {
    try {
      const response = await work();
      this.keep(id, { operation, response });
      return response;
    } catch (error) {
      // What may go better later is not answered for ever.
      if (isVirtError(error) && error.retry === 'never') this.keep(id, { operation, error: error.toBody() });
      throw error;
    }
  }

  private keep(id: string, answer: Answer): void {
    try {
      this.files.write(id, JSON.stringify(answer), false);
    } catch {
      this.unwritten.set(id, answer);
      for (const [oldest] of this.unwritten) if (this.unwritten.size > mostUnwritten) this.unwritten.delete(oldest);
      return;
    }
    this.intents.over(id);
  }

  private read(id: string): Answer | undefined {
    try {
      return this.unwritten.get(id) ?? (JSON.parse(this.files.read(id) ?? '') as Answer);
    } catch {
      return undefined;
    }
  }
}

function reused(id: string, operation: string): never {
  throw new VirtError('INVALID_ARG', { detail: `the command id ${id} was used for ${operation} before` });
}
