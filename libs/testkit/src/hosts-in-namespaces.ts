/**
 * Hosts with a network of their own on one machine: a network namespace each, on a bridge that the test can reach, too. What
 * a test that was killed has left is taken away by the next one.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { isAlive } from './process-table';
import { findProgram } from './programs';
import { requirement, type Requirement } from './requirement';

const programs = ['ip', 'nsenter'];

export function needsHostNamespaces(): Requirement {
  return requirement('root, iproute2 and network namespaces', () => {
    if (process.getuid?.() !== 0 || !programs.every((program) => findProgram(program))) return false;
    using _one = HostsInNamespaces.make(['probe']);
    return true;
  });
}

/** How many were made by this process: each has a network of its own. */
let made = 0;

export class HostsInNamespaces implements Disposable {
  private constructor(
    private readonly names: readonly string[],
    /** Of the bridge; its namespaces and their links are called after it. */
    private readonly stem: string,
    /** First three numbers of all addresses. */
    private readonly network: string,
  ) {}

  static make(names: readonly string[]): HostsInNamespaces {
    sweep();
    const number = made++;
    const network = `10.${200 + (number % 50)}.${process.pid % 256}`;
    const hosts = new HostsInNamespaces(names, `vbt${process.pid}x${number % 50}`, network);
    try {
      hosts.build();
      return hosts;
    } catch (error) {
      hosts[Symbol.dispose]();
      throw error;
    }
  }

  /** Where the hosts reach what runs outside of their namespaces. */
  get outside(): string {
    return `${this.network}.254`;
  }

  address(host: string): string {
    return `${this.network}.${this.names.indexOf(host) + 1}`;
  }

  /** What a command is preceded by to run on this host. */
  within(host: string): readonly string[] {
    return ['nsenter', `--net=/run/netns/${this.namespace(host)}`];
  }

  /** Whatever either host sends to the other is lost, without a word to anybody, until they are joined again. */
  part(one: string, other: string): void {
    this.routes('add', one, other);
  }

  join(one: string, other: string): void {
    this.routes('del', one, other);
  }

  /** Take the host's link down, or bring it up: nobody reaches it, the test neither. */
  link(host: string, state: 'down' | 'up'): void {
    ip('link', 'set', this.cable(host), state);
  }

  [Symbol.dispose](): void {
    for (const host of this.names) ipIfThere('netns', 'del', this.namespace(host));
    ipIfThere('link', 'del', this.stem);
  }

  private build(): void {
    ip('link', 'add', this.stem, 'type', 'bridge');
    ip('addr', 'add', `${this.outside}/24`, 'dev', this.stem);
    ip('link', 'set', this.stem, 'up');
    for (const host of this.names) {
      const [space, cable] = [this.namespace(host), this.cable(host)];
      ip('netns', 'add', space);
      ip('link', 'add', cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space);
      ip('link', 'set', cable, 'master', this.stem, 'up');
      ip('-n', space, 'addr', 'add', `${this.address(host)}/24`, 'dev', 'eth0');
      for (const device of ['lo', 'eth0']) ip('-n', space, 'link', 'set', device, 'up');
    }
  }

  private routes(change: 'add' | 'del', one: string, other: string): void {
    ip('-n', this.namespace(one), 'route', change, 'blackhole', this.address(other));
    ip('-n', this.namespace(other), 'route', change, 'blackhole', this.address(one));
  }

  private namespace(host: string): string {
    return `${this.stem}-${host}`;
  }

  /** At most 15 characters. */
  private cable(host: string): string {
    return `${this.stem}p${this.names.indexOf(host)}`;
  }
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { timeout: 10_000, stdio: ['ignore', 'ignore', 'pipe'] });
}

function ipIfThere(...args: string[]): void {
  try {
    ip(...args);
  } catch {
    // It was not made, or has gone.
  }
}

function sweep(): void {
  const ownerOf = (name: string): number => Number(/^vbt(\d+)x/.exec(name)?.[1] ?? process.pid);
  const left = (folder: string): string[] => readdirSync(folder).filter((name) => !isAlive(ownerOf(name)));
  for (const link of left('/sys/class/net')) ipIfThere('link', 'del', link);
  try {
    for (const space of left('/run/netns')) ipIfThere('netns', 'del', space);
  } catch {
    // There has never been one.
  }
}
