import { type Benchmark } from '../bench';
import { blockJobs } from './block-jobs';
import { bus } from './bus';
import { destroy } from './destroy';
import { domainXml } from './domain-xml';
import { events } from './events';
import { isolation } from './isolation';
import { list } from './list';
import { lxc } from './lxc';
import { migration } from './migration';
import { start } from './start';
import { stats } from './stats';
import { storage } from './storage';

/** In the order they run. */
export const benchmarks: readonly Benchmark[] = [
  start,
  destroy,
  list,
  stats,
  events,
  isolation,
  domainXml,
  storage,
  blockJobs,
  lxc,
  migration,
  bus,
];
