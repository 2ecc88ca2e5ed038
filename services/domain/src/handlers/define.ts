/**
 * Define and create: read the document, claim name and uuid, choose a host, have the host keep or start it.
 *
 *   claim name ─▶ claim place (epoch) ─▶ host defines ─▶ settle        refused: what was claimed here is undone
 *
 * When the host's answer is lost the claim stays pending; the host's inventory settles it, or its time runs out.
 * A uuid that the document leaves out is made from the command's id: the command again, through whichever copy, is the
 * same command about the same domain, and the host gives its first answer again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  createDomain,
  defineDomain,
  driverCreate,
  driverDefine,
  isVirtError,
  VirtError,
  type DomainSummary,
} from '@virtbus/shared';
import { endpoint, type Call, type Endpoint } from '@virtbus/shared/bus';
import { askFor } from '../ask';
import { readDefinition, type Definition } from '../definition';
import type { Fleet } from '../fleet';
import type { At } from '../hosts';
import { withImages } from '../images/prepare';
import type { Claim } from '../registry/claims';
import { takeBack } from './take-back';

interface Placed {
  host?: string | undefined;
  labels: Record<string, string>;
}

/** How long a definition waits for storage to have heard of its images, milliseconds; storage hears of them later, too. */
const settledMs = 2_000;

type Answer = { domain: DomainSummary; warnings: string[] };

export function defineEndpoint(fleet: Fleet): Endpoint {
  return endpoint(defineDomain, async (request, call) => {
    const definition = readDefinition(request, call.id);
    const { uuid, xml } = definition;
    const { validate } = request;
    const answer = await settle(fleet, definition, request, call, ({ at, epoch }) =>
      askFor(fleet, driverDefine, { xml, epoch, validate }, call, at, { uuid }),
    );
    // From now on nobody writes into an image that it stands on.
    if (definition.disks.length > 0) {
      const told = fleet.settler.settle(answer.domain, answer.domain.uuid);
      await Promise.race([told, sleep(settledMs, undefined, { ref: false })]);
    }
    return answer;
  });
}

export function createEndpoint(fleet: Fleet): Endpoint {
  return endpoint(createDomain, async (request, call) => {
    const definition = readDefinition(request, call.id);
    return settle(fleet, definition, request, call, ({ at, epoch }) => {
      const { uuid, name, xml, disks } = definition;
      const opening = { disks, mayMiss: () => definition.mayMiss };
      const { validate, paused } = request;
      return withImages(fleet, { ...at, uuid, name, epoch }, call, opening, (prepared) =>
        askFor(fleet, driverCreate, { xml, epoch, validate, paused, prepared }, call, at, { uuid }),
      );
    });
  });
}

async function settle(
  fleet: Fleet,
  definition: Definition,
  placed: Placed,
  call: Call,
  send: (claim: Claim) => Promise<Answer>,
): Promise<Answer> {
  const claim = await claimed(fleet, definition, placed, call);
  let answer: Answer;
  try {
    if (placed.host !== undefined && placed.host !== claim.at.host)
      throw livesElsewhere(definition, claim.at, placed.host);
    answer = await send(claim);
  } catch (error) {
    await takeBack(fleet, definition.uuid, claim, error);
    throw error;
  }
  if (answer.domain.epoch === claim.epoch) {
    await claim.settle();
    await fleet.knowledge.answered(answer.domain);
  }
  // The first answer of a command whose domain has gone since: nothing lives that the claim could be for.
  else await claim.undo();
  return { domain: answer.domain, warnings: [...new Set([...definition.warnings, ...answer.warnings])] };
}

/** The claim; or, for a command that comes again after its domain was renamed, the home that has its first answer. */
async function claimed(fleet: Fleet, definition: Definition, placed: Placed, call: Call): Promise<Claim> {
  const { uuid, name } = definition;
  const known = definition.derived ? fleet.projection.get(uuid) : undefined;
  if (known && known.name !== name) {
    const nothing = async (): Promise<void> => undefined;
    return { at: known, epoch: known.epoch, existed: true, settle: nothing, undo: nothing };
  }
  const want = { uuid, name, commandId: call.id, forMs: call.timeoutMs + 60_000 };
  return fleet.claims.domain(want, () => place(fleet, definition, placed));
}

/** How long a service that has only just started waits for heartbeats before it says that there is no host. */
const firstHeartbeatMs = 3_000;

async function place(fleet: Fleet, definition: Definition, { host, labels }: Placed): Promise<At> {
  const { virtType, arch, memoryKiB } = definition;
  for (;;) {
    try {
      return fleet.placement.choose({ virtType, arch, memoryKiB, host, labels }, fleet.hosts.list());
    } catch (error) {
      const soon = performance.now() - fleet.startedAt < firstHeartbeatMs;
      if (!soon || !(isVirtError(error, 'HOST_NOT_FOUND') || isVirtError(error, 'NO_SUITABLE_HOST'))) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

function livesElsewhere({ name }: Definition, at: At, asked: string): VirtError {
  const detail = `domain '${name}' lives on host '${at.host}'; it cannot be defined on '${asked}' too`;
  return new VirtError('OPERATION_FAILED', { detail });
}
