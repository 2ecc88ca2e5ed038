/**
 * The container engine of the suite: the one that answers, or a dockerd of our own where there is none.
 *
 * Ours keeps to itself: its sockets in a private folder, no bridge, no rule in the firewall, and namespaces for its mounts
 * and processes, so that containers, guests and mounts end with us, however we end. Images and layers stay in
 * `.cache/engine` for the next run. Published ports are served by its proxy, and builds use the host's network.
 */
import { execFile as execFileWithCallback, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { checkout, eventually, findProgram, requirement } from '@virtbus/testkit';

const execFile = promisify(execFileWithCallback);
const debianMirror = process.env['VIRTBUS_DEBIAN_MIRROR'] ?? 'http://deb.debian.org/debian';
const logName = 'dockerd.log';
const baseTar = join(checkout, '.cache', 'base-image', 'bookworm.tar');

/** Root, because guests run; an engine or the means to start one; compose; a base image or the means to make it. */
export function needsEngine(): ReturnType<typeof requirement> {
  return requirement('root, Docker or dockerd, docker-compose, and a registry or debootstrap with an archive', () => {
    if (process.getuid?.() !== 0 || !findProgram('docker') || !composeProgram()) return false;
    if (!answers() && !findProgram('dockerd')) return false;
    return (
      existingBase() ||
      (findProgram('debootstrap') !== undefined && reachable(`${debianMirror}/dists/bookworm/Release`))
    );
  });
}

/** `docker compose` where it is there, else `docker-compose` 1.29. */
export function composeProgram(): 'plugin' | 'standalone' | undefined {
  if (spawnSync('docker', ['compose', 'version']).status === 0) return 'plugin';
  return findProgram('docker-compose') ? 'standalone' : undefined;
}

function answers(env: NodeJS.ProcessEnv = process.env): boolean {
  return spawnSync('docker', ['version'], { env, timeout: 10_000 }).status === 0;
}

function existingBase(): boolean {
  return spawnSync('test', ['-s', baseTar]).status === 0;
}

function reachable(url: string): boolean {
  const ask = `fetch(${JSON.stringify(url)}, { method: 'HEAD', signal: AbortSignal.timeout(8000) }).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))`;
  return spawnSync(process.execPath, ['-e', ask], { timeout: 10_000 }).status === 0;
}

export class Engine implements AsyncDisposable {
  private constructor(
    /** For programs that talk to it. */
    readonly env: Record<string, string>,
    private readonly own: ChildProcess | undefined,
  ) {}

  /** @param folder private; short, since unix sockets lie in it */
  static async start(folder: string): Promise<Engine> {
    if (answers()) return new Engine({}, undefined);
    const socket = `unix://${join(folder, 'docker.sock')}`;
    const data = join(checkout, '.cache', 'engine');
    mkdirSync(data, { recursive: true });
    const log = openSync(join(folder, logName), 'a');
    const where = ['--data-root', data, '--exec-root', join(folder, 'exec'), '--pidfile', join(folder, 'dockerd.pid')];
    const apart = ['--bridge=none', '--iptables=false', '--ip6tables=false', '--ip-forward=false', '--ip-masq=false'];
    const mortal = ['--pdeathsig', 'KILL', '--', 'unshare', '--pid', '--mount-proc', '--fork', '--kill-child', '--'];
    const command = [findProgram('dockerd')!, '--host', socket, ...where, ...apart];
    // Process 1 of the namespace takes orphans in, which guests are, and buries them: a shell does. What it runs in the
    // background would ignore SIGINT, by which the engine ends its proxies.
    const own = spawn('setpriv', [...mortal, 'bash', '-c', '"$0" "$@"; exit $?', ...command], {
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    const engine = new Engine({ DOCKER_HOST: socket }, own);
    await eventually(() => own.exitCode !== null || answers({ ...process.env, ...engine.env }), true, {
      timeoutMs: 60_000,
      intervalMs: 250,
    });
    if (own.exitCode !== null) throw new Error(`dockerd cannot run (exit code ${own.exitCode}): ${lastWords(folder)}`);
    // What a run that was killed could not take down.
    const left = await engine.docker('ps', '--all', '--quiet');
    if (left) await engine.docker('rm', '--force', ...left.split('\n'));
    for (const kind of ['network', 'volume']) await engine.docker(kind, 'prune', '--force');
    return engine;
  }

  /** Run `docker` and return what it has written. Rejects with what it said. */
  docker(...args: string[]): Promise<string> {
    return this.run('docker', args);
  }

  /** Run compose on a file. Rejects with what it said. */
  compose(file: string, project: string, settings: Record<string, string>, ...args: string[]): Promise<string> {
    const [program, ...first] = composeProgram() === 'plugin' ? ['docker', 'compose'] : ['docker-compose'];
    return this.run(program, [...first, '--file', file, '--project-name', project, ...args], settings);
  }

  /** Run a program that talks to the engine and return what it has written. Rejects with what it said. */
  async run(program: string, args: string[], settings: Record<string, string> = {}): Promise<string> {
    // The builder that every engine has.
    const env = { ...process.env, ...this.env, ...settings, DOCKER_BUILDKIT: '0' };
    try {
      const { stdout } = await execFile(program, args, { env, timeout: 600_000, maxBuffer: 64 * 1_048_576 });
      return stdout.trim();
    } catch (error) {
      const { stderr, stdout } = error as { stderr: string; stdout: string };
      throw new Error(`${program} ${args.join(' ')}: ${stderr}${stdout}`, { cause: error });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { own } = this;
    if (!own || own.exitCode !== null) return;
    await this.docker('image', 'prune', '--force'); // what the images of this run have taken the place of
    const ended = new Promise<void>((resolve) => own.once('exit', () => resolve()));
    own.kill('SIGKILL');
    await ended;
  }
}

const lastWords = (folder: string): string => readFileSync(join(folder, logName), 'utf8').slice(-1_000);
