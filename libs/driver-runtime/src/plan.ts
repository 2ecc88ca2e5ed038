/** The first part of a block operation: the images that a command needs, told to storage before anything is done. */
import { VirtError, type driverStorage, type ImageNeed } from '@virtbus/shared';
import { parseRequest, type Call } from '@virtbus/shared/bus';
import type { z } from 'zod';
import type { Actor } from './actor';
import type { DriverHost } from './host';
import { ops } from './ops';
import { checkNeeds } from './ops/op';

type Command = z.output<typeof driverStorage.request>['command'];

/** Throws what is wrong with the command. None for a command that has its answer, or will get that of its first coming. */
export async function needsOf(host: DriverHost, command: Command, call: Call): Promise<ImageNeed[]> {
  const actor = call.domain === undefined ? undefined : host.find(call.domain);
  if (!command || !actor || knows(actor, call.id)) return [];
  const planner = ops.find((one) => one.contract.plansImages && one.contract.operation === command.operation);
  if (!planner?.plan) throw new VirtError('INVALID_ARG', { detail: `'${command.operation}' plans no images` });
  // Its first coming may be that very operation.
  if (actor.unsettled !== undefined) throw new VirtError('DOMAIN_BUSY', { job: actor.unsettled.operation });
  const { contract, needs } = planner;
  const request = parseRequest(contract.name, contract.request, command.request);
  checkNeeds(actor, needs);
  return [...(await planner.plan(request, { host, actor, call }))];
}

const knows = (actor: Actor, id: string): boolean =>
  actor.applies(id) || actor.record.answered.some((answer) => answer.id === id);
