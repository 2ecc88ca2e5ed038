/** Every command, in the order in which help shows them within their groups. */
import type { CommandSpec } from '../spec';
import * as definition from './definition';
import * as devices from './devices';
import * as disks from './disks';
import * as events from './events';
import * as guest from './guest';
import * as hardware from './hardware';
import * as hosts from './hosts';
import * as identity from './identity';
import * as info from './info';
import * as interfaces from './interfaces';
import * as lifecycle from './lifecycle';
import * as list from './list';
import * as metadata from './metadata';
import * as save from './save';
import * as stats from './stats';
import * as tools from './tools';

const isCommand = (value: unknown): value is CommandSpec =>
  typeof value === 'object' && value !== null && 'summary' in value && 'run' in value;

export const commands: readonly CommandSpec[] = [
  definition,
  lifecycle,
  save,
  identity,
  metadata,
  list,
  info,
  events,
  stats,
  devices,
  disks,
  interfaces,
  hardware,
  guest,
  hosts,
  tools,
].flatMap((module) => Object.values(module).filter(isCommand));
