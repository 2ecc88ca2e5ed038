/** Everything on this host that no guest could start on: disks of definitions, and volumes of pools that run. */
import { describeLocation } from '@virtbus/disk-image';
import { isDispensable, parseDevice } from '@virtbus/domain-xml';
import { isVirtError, type auditChains, type Response } from '@virtbus/shared';
import type { Chains } from './handlers';
import { faultOf } from './show';

type Audit = Response<typeof auditChains>;
type Fault = Audit['faults'][number];

/** Images that are read at a time. */
const width = 16;

export async function audit({ host, chains, resolver, volumes }: Chains): Promise<Audit> {
  const checks = [
    ...chains.all.flatMap(({ domain, name, definition }) =>
      definition.map((xml) => async (): Promise<Fault | undefined> => {
        try {
          await resolver.disk(xml, dispensableIn(xml));
          return undefined;
        } catch (error) {
          const { target } = await resolver.named(xml);
          return { what: `disk ${target} of domain '${name}'`, domain, ...told(error, host.name) };
        }
      }),
    ),
    ...(await volumes.list()).map(({ pool, volume, location, format }) => async (): Promise<Fault | undefined> => {
      try {
        await resolver.chain({ location, format });
        return undefined;
      } catch (error) {
        return {
          what: `volume '${volume}' of pool '${pool}'`,
          path: describeLocation(location),
          ...told(error, host.name),
        };
      }
    }),
  ];
  const faults: Fault[] = [];
  const queue = checks.values();
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (const check of queue) faults.push(...[await check()].filter((fault) => fault !== undefined));
    }),
  );
  return { checked: checks.length, faults: faults.sort((a, b) => (a.what < b.what ? -1 : 1)) };
}

/** The disk's target, if its guest starts without its image. */
function dispensableIn(xml: string): string[] {
  const { list, value } = parseDevice(xml);
  return list === 'disks' && isDispensable(value, 'boot') ? [value.target.dev ?? ''] : [];
}

function told(error: unknown, host: string): Pick<Fault, 'reason' | 'repair'> {
  const reason = faultOf(error);
  if (!isVirtError(error, 'BACKING_FORMAT_MISSING')) return { reason };
  const { repair } = error.details;
  return { reason, repair: repair.startsWith('virtbus ') ? `${repair} --host ${host}` : repair };
}
