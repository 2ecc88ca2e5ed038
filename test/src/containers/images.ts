/** The images of this checkout, built from what is built in it: `virtbus-<service>:<tag>`. */
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { checkout } from '@virtbus/testkit';
import type { Engine } from './engine';

const targets = ['domain', 'migration', 'storage', 'driver-qemu', 'driver-lxc', 'cli', 'nats'] as const;
const officialBase = 'node:20-bookworm-slim';
const ownBase = 'virtbus-base';

/** @returns the name of each image with its size */
export function buildImages(engine: Engine, tag: string, folder: string): string[] {
  const base = chooseBase(engine);
  const context = join(folder, 'context');
  mkdirSync(context);
  run('deploy/install.sh', ['--destdir', join(context, 'layout')], engine);
  cpSync(join(checkout, 'deploy'), join(context, 'deploy'), { recursive: true });
  for (const target of targets) {
    const what = ['--target', target, '--tag', `virtbus-${target}:${tag}`, '--build-arg', `BASE=${base}`];
    engine.docker('build', '--quiet', '--network=host', ...what, '--file', join(context, 'deploy/Dockerfile'), context);
  }
  rmSync(context, { recursive: true });
  const sizes = engine.docker('images', '--format', '{{.Repository}}:{{.Tag}} {{.Size}}').split('\n');
  return sizes.filter((line) => line.includes(`:${tag} `));
}

/** The official image where it is here or can be had; else one from Debian's packages. */
function chooseBase(engine: Engine): string {
  const has = (image: string): boolean => engine.docker('images', '--quiet', image) !== '';
  if (has(officialBase)) return officialBase;
  if (has(ownBase)) return ownBase;
  if (engine.pulls(officialBase)) return officialBase;
  run('deploy/base-image.sh', [ownBase], engine);
  return ownBase;
}

function run(script: string, args: string[], engine: Engine): void {
  const env = { ...process.env, ...engine.env, DOCKER_BUILDKIT: '0' };
  const { status, stdout, stderr } = spawnSync(join(checkout, script), args, {
    env,
    encoding: 'utf8',
    timeout: 600_000,
  });
  if (status !== 0) throw new Error(`${script}: ${stderr}${stdout}`);
}
