/** `<lxc:namespace>`: namespaces that a container shares with another one instead of having its own. */
import { element, attr, one, oneOf, string, type ModelOf } from '../schema';

/** From whom: a named network namespace, another container by name, or any process by id. */
const share = <const W extends readonly string[]>(name: string, ...types: W) =>
  element(name, {
    type: attr(oneOf(...types), {
      required: `missing attribute 'type' in <${name}>: whose namespace it is`,
      refuse: ['XML_ERROR', (raw) => `unknown type '${raw}' of <${name}>; expected one of ${types.join(', ')}`],
    }),
    value: attr(string, { required: true }),
  });

export const lxcNamespace = element('lxc:namespace', {
  net: one(share('lxc:sharenet', 'netns', 'name', 'pid')),
  ipc: one(share('lxc:shareipc', 'name', 'pid')),
  uts: one(share('lxc:shareuts', 'name', 'pid')),
});
export type LxcNamespace = ModelOf<typeof lxcNamespace>;
