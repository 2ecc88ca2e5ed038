/**
 * The answers that commands got, on disk for a day: a command id that comes again gets its first answer again, also
 * after a restart, and the work is not done twice. An id is one command's: another operation under it is refused.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { encodeToken, isVirtError, VirtError, type ErrorBody } from '@virtbus/shared';
import type { Endpoint } from '@virtbus/shared/bus';
import { dropReplaced, makeFolder, readReplaced, replacedAt, replacedIn, replaceFile } from '@virtbus/shared/files';

const keptMs = 86_400_000;

interface Answer {
  operation: string;
  response?: unknown;
  error?: ErrorBody;
}

export class Answers {
  private readonly underWay = new Map<string, { operation: string; work: Promise<unknown> }>();
  /** Those for which there was no room on disk: what was done is answered all the same. */
  private readonly unwritten = new Map<string, Answer>();

  constructor(private readonly folder: string) {
    makeFolder(folder, 0o700);
    for (const name of replacedIn(folder)) {
      const path = join(folder, name);
      if (Date.now() - (replacedAt(path) ?? 0) > keptMs) dropReplaced(path);
    }
  }

  /** The same endpoint, for which a command id counts once. */
  once(endpoint: Endpoint): Endpoint {
    return {
      ...endpoint,
      handler: (request, call) => {
        const key = keyOf(call.id);
        const operation = endpoint.name;
        const running = this.underWay.get(key);
        if (running) return running.operation === operation ? running.work : reused(call.id, running.operation);
        const known = this.read(key);
        if (known) {
          if (known.operation !== operation) return reused(call.id, known.operation);
          if (known.error) throw VirtError.fromBody(known.error);
          return known.response;
        }
        const work = this.perform(key, operation, async () => endpoint.handler(request, call));
        this.underWay.set(key, { operation, work });
        return work.finally(() => this.underWay.delete(key));
      },
    };
  }

  private async perform(key: string, operation: string, work: () => Promise<unknown>): Promise<unknown> {
    try {
      const response = await work();
      this.keep(key, { operation, response });
      return response;
    } catch (error) {
      // What may go better later is not answered for ever.
      if (isVirtError(error) && error.retry === 'never') this.keep(key, { operation, error: error.toBody() });
      throw error;
    }
  }

  private keep(key: string, answer: Answer): void {
    try {
      replaceFile(this.path(key), JSON.stringify(answer), false);
    } catch {
      this.unwritten.set(key, answer);
    }
  }

  private read(key: string): Answer | undefined {
    try {
      return this.unwritten.get(key) ?? (JSON.parse(readReplaced(this.path(key)) ?? '') as Answer);
    } catch {
      return undefined;
    }
  }

  private path(key: string): string {
    return join(this.folder, `${key}.json`);
  }
}

/** An id is a client's word; this can be a file's name. */
function keyOf(id: string): string {
  const token = encodeToken(id);
  return token.length <= 128 ? token : createHash('sha256').update(id).digest('hex');
}

function reused(id: string, operation: string): never {
  throw new VirtError('INVALID_ARG', { detail: `the command id ${id} was used for ${operation} before` });
}
