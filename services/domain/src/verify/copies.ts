/** What each copy of the domain service believes of the domains, asked of all copies that there are. */
import { hostname } from 'node:os';
import { beliefSubject, type DomainSummary } from '@virtbus/shared';
import { answerForCopy, askEveryCopy, type Bus } from '@virtbus/shared/bus';
import { z } from 'zod';
import type { Projection } from '../projection';

const Belief = z.object({ uuid: z.string(), epoch: z.number(), revision: z.number(), state: z.string() });
const Copy = z.object({ name: z.string(), beliefs: z.array(Belief) });

/** What one copy believes of one domain. */
export type Belief = z.infer<typeof Belief>;
/** One copy; its name tells people which process it is. */
export type Copy = z.infer<typeof Copy>;

/** For how long the copies are waited for, milliseconds. */
const patienceMs = 5_000;

const name = `process ${process.pid} on ${hostname()}`;

export function tellBeliefs(bus: Bus, projection: Projection): void {
  answerForCopy(bus, beliefSubject, () => believed(projection));
}

/** This copy, and every other one that answers. */
export async function copiesOf(bus: Bus, projection: Projection): Promise<Copy[]> {
  const answers = await askEveryCopy(bus, beliefSubject, patienceMs).catch(() => []);
  const others = answers.flatMap((answer) => {
    const { success, data } = Copy.safeParse(answer);
    return success && data.name !== name ? [data] : [];
  });
  return [believed(projection), ...others];
}

function believed({ domains }: Projection): Copy {
  const of = ({ uuid, epoch, revision, state }: DomainSummary): Belief => ({ uuid, epoch, revision, state });
  return { name, beliefs: domains.map(of) };
}
