/**
 * Hosts with a network of their own on one machine: a network namespace each, on a bridge that the test can reach, too. Each
 * has a bridge for its guests, which is on the same network. The bridge between them is in a namespace of its own, out of
 * the way of what the machine's firewall does with bridges (Docker's drops what they forward). What a test that was killed has left is taken away by the
 * next one.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { isAlive } from './process-table';
import { findProgram } from './programs';
import { requirement, type Requirement } from './requirement';

const programs = ['ip'];
/** Of each host, for its guests; the host's own address is on it. */
const guestBridge = 'br0';
const lossTable = 'virtbus_test_loss';

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
    /** Of the test's own end of a link to them, at most 15 characters; their namespaces are called after it. */
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

  /** An address on the network that no host has. @param number 100 to 199 */
  guestAddress(number: number): string {
    return `${this.network}.${number}`;
  }

  /** The bridge that guests of any host are on. */
  get bridge(): string {
    return guestBridge;
  }

  /** What a command is preceded by to run on this host: it sees the host's network, in `/sys`, too. */
  within(host: string): readonly string[] {
    return ['ip', 'netns', 'exec', this.namespace(host)];
  }

  /** Names of the host's network devices. */
  devices(host: string): string[] {
    return this.ask(host, 'ls', '/sys/class/net').split('\n').filter(Boolean);
  }

  /** Numbers of the TCP ports that somebody listens on, on this host. */
  listening(host: string): number[] {
    const lines = this.ask(host, 'cat', '/proc/net/tcp', '/proc/net/tcp6').split('\n');
    const found = lines.flatMap(
      (line) => /^ *\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} 0A /.exec(line)?.[1] ?? [],
    );
    return [...new Set(found.map((port) => parseInt(port, 16)))].sort((a, b) => a - b);
  }

  private ask(host: string, ...command: string[]): string {
    const [program, ...args] = [...this.within(host), ...command];
    return execFileSync(program!, args, { encoding: 'utf8', timeout: 10_000 });
  }

  /** Whatever either host sends to the other is lost, without a word to anybody, until they are joined again. */
  part(one: string, other: string): void {
    this.routes('add', one, other);
  }

  join(one: string, other: string): void {
    this.routes('del', one, other);
  }

  /** So many of a hundred packets between the two are lost, each way, until `noLoss`. Needs nftables. */
  lose(one: string, other: string, percent: number): void {
    for (const [host, peer] of [
      [one, other],
      [other, one],
    ] as const) {
      const chain = `type filter hook input priority 0;`;
      const rule = `ip saddr ${this.address(peer)} numgen random mod 100 < ${percent} drop;`;
      this.ask(host, 'nft', `table ip ${lossTable} { chain input { ${chain} ${rule} }; }`);
    }
  }

  noLoss(one: string, other: string): void {
    for (const host of [one, other]) this.ask(host, 'nft', 'delete', 'table', 'ip', lossTable);
  }

  /** Take the host's link down, or bring it up: nobody reaches it, the test neither. */
  link(host: string, state: 'down' | 'up'): void {
    ip('-n', this.wire, 'link', 'set', this.cable(host), state);
  }

  [Symbol.dispose](): void {
    for (const host of this.names) ipIfThere('netns', 'del', this.namespace(host));
    ipIfThere('netns', 'del', this.wire);
    ipIfThere('link', 'del', this.stem);
  }

  private build(): void {
    const { wire } = this;
    ip('netns', 'add', wire);
    ip('-n', wire, 'link', 'add', 'wire', 'type', 'bridge');
    ip('link', 'add', this.stem, 'type', 'veth', 'peer', 'name', 'outside', 'netns', wire);
    ip('addr', 'add', `${this.outside}/24`, 'dev', this.stem);
    ip('link', 'set', this.stem, 'up');
    for (const device of ['lo', 'wire']) ip('-n', wire, 'link', 'set', device, 'up');
    ip('-n', wire, 'link', 'set', 'outside', 'master', 'wire', 'up');
    for (const host of this.names) {
      const [space, cable] = [this.namespace(host), this.cable(host)];
      ip('netns', 'add', space);
      ip('-n', wire, 'link', 'add', cable, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', space);
      ip('-n', wire, 'link', 'set', cable, 'master', 'wire', 'up');
      ip('-n', space, 'link', 'add', guestBridge, 'type', 'bridge');
      ip('-n', space, 'link', 'set', 'eth0', 'master', guestBridge);
      ip('-n', space, 'addr', 'add', `${this.address(host)}/24`, 'dev', guestBridge);
      for (const device of ['lo', 'eth0', guestBridge]) ip('-n', space, 'link', 'set', device, 'up');
    }
  }

  private routes(change: 'add' | 'del', one: string, other: string): void {
    ip('-n', this.namespace(one), 'route', change, 'blackhole', this.address(other));
    ip('-n', this.namespace(other), 'route', change, 'blackhole', this.address(one));
  }

  private namespace(host: string): string {
    return `${this.stem}-${host}`;
  }

  /** Of the bridge between the hosts. */
  private get wire(): string {
    return `${this.stem}-wire`;
  }

  private cable(host: string): string {
    return `port${this.names.indexOf(host)}`;
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
