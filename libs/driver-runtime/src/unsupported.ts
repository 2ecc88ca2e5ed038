/** What a driver without a facet cannot do, in the words of its refusal: `lxc cannot …`. */
import type { Facets } from './driver';

export const withoutFacet: Readonly<Record<keyof Facets, string>> = {
  agent: 'talk to an agent in the guest',
  backup: 'back up the disks of a running guest',
  blockJobs: 'pull, commit or copy disks of a running guest',
  checkpoints: 'make or delete checkpoints',
  console: 'show consoles',
  cpu: 'compare CPUs',
  devices: 'change devices of a running guest',
  disks: 'change or tell of disks of a running guest',
  exec: 'run commands inside the guest',
  explain: 'explain definitions',
  images: 'work with the images of a domain',
  keyboard: 'press keys',
  memory: 'change the memory of a running guest',
  migration: 'migrate guests',
  monitor: "pass commands to the hypervisor's monitor",
  native: 'convert documents from or to another format',
  power: 'ask a guest to shut down or reboot',
  reset: 'press the reset button',
  save: 'save and restore guests',
  screenshot: 'take pictures of the screen',
  snapshots: 'take or delete snapshots, or go back to one',
  stats: 'tell more statistics than the definition does',
  tuning: 'change limits of a running guest',
  vcpus: 'change the virtual CPUs of a running guest',
};
