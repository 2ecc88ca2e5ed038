/** The public operations on hosts that are emptied. */
import { abortDrain, drainHost, DrainOptions, encodeToken, showDrain, undrainHost } from '@virtbus/shared';
import { endpoint, type Endpoint } from '@virtbus/shared/bus';
import type { Drains } from './drains';

export function drainEndpoints(drains: Drains): Endpoint[] {
  return [
    endpoint(drainHost, async ({ to, limits, ...rest }, { target, id }) => {
      const wish = { to, limits, options: DrainOptions.parse(rest) };
      return { drain: await drains.drain(target!, wish, { id: encodeToken(id), cause: id }) };
    }),
    endpoint(undrainHost, async (_request, { target }) => {
      const drain = await drains.undrain(target!);
      return drain ? { drain } : {};
    }),
    endpoint(abortDrain, async (_request, { target }) => ({ drain: await drains.abort(target!) })),
    endpoint(showDrain, async (_request, { target }) => ({ drain: await drains.show(target!) })),
  ];
}
