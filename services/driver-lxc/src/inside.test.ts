import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { parseDomain } from '@virtbus/domain-xml';
import { temporaryFolder } from '@virtbus/testkit';
import { idsInside } from './ids-inside';
import { openInside } from './inside';

const folder = temporaryFolder();
afterAll(() => folder[Symbol.dispose]());

function root(name: string): string {
  const path = folder.file(name);
  mkdirSync(`${path}/etc`, { recursive: true });
  return path;
}

const idOfApp = (path: string): number | undefined =>
  idsInside(
    parseDomain(
      `<domain type='lxc'><name>c</name><memory>65536</memory><os><type>exe</type><init>/sbin/init</init><inituser>app</inituser></os>
       <devices><filesystem type='mount'><source dir='${path}'/><target dir='/'/></filesystem></devices></domain>`,
      { mode: 'inactive' },
    ).domain,
  ).uid;

test('a file below the folder is opened, through folders alone', () => {
  const path = root('plain');
  writeFileSync(`${path}/etc/passwd`, 'app:x:1000:1000::/:/bin/sh\n');
  const fd = openInside(path, 'etc/passwd', constants.O_RDONLY);
  expect(readFileSync(fd, 'utf8')).toContain('app');
  closeSync(fd);
  expect(idOfApp(path)).toBe(1000);
});

test.each(['the file', 'its folder'])('%s that is a link is not followed: it would be on the host', (what) => {
  const path = folder.file(`link-${what === 'the file'}`);
  const host = root('host');
  writeFileSync(`${host}/etc/passwd`, 'app:x:7:7::/:/bin/sh\n');
  mkdirSync(`${path}${what === 'the file' ? '/etc' : ''}`, { recursive: true });
  if (what === 'the file') symlinkSync(`${host}/etc/passwd`, `${path}/etc/passwd`);
  else symlinkSync(`${host}/etc`, `${path}/etc`);
  expect(() => openInside(path, 'etc/passwd', constants.O_RDONLY)).toThrow(/ELOOP|ENOTDIR/);
  expect(idOfApp(path)).toBeUndefined();
});

test('a pipe that nobody writes to keeps nobody waiting, and names no user', () => {
  const path = root('pipe');
  execFileSync('mkfifo', [`${path}/etc/passwd`]);
  expect(idOfApp(path)).toBeUndefined();
});
