/** Running a command's handler as `serve` would, with the deadline its caller set: for commands that come another way. */
import { VirtError, type Contract } from '@virtbus/shared';
import { decode, formatOf, type Call, type CallContext, type Endpoint } from '@virtbus/shared/bus';
import type { Log } from '@virtbus/shared/log';

export interface Given {
  contract: Contract;
  target: string | undefined;
  context: CallContext & { id: string };
  body: Uint8Array;
}

export async function applyCommand(endpoint: Endpoint, given: Given, log: Log): Promise<unknown> {
  const { contract, target, context, body } = given;
  const deadline = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const call: Call = {
    ...context,
    target,
    deadline: performance.now() + context.timeoutMs,
    signal: deadline.signal,
    log: target === undefined ? log : log.child({ domain: target }),
    format: formatOf(body),
    body,
  };
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = new VirtError('OPERATION_TIMEOUT', {
        detail: `${contract.name} took over ${context.timeoutMs} ms`,
      });
      deadline.abort(error);
      reject(error);
    }, context.timeoutMs);
  });
  try {
    return await Promise.race([endpoint.handler(() => decode(body), call), late]);
  } finally {
    clearTimeout(timer);
  }
}
