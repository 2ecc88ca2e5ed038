/** Which subjects each role may use, from the same table that the server's configuration is made of. */
import { permissionsOf, type RoleName } from '@virtbus/shared/auth';

const roles: [RoleName, string][] = [
  ['reader', 'asks queries, reads the event log; changes nothing'],
  ['operator', 'a reader who also gives commands'],
  ['admin', 'everything a person may do, raw monitor commands and stream administration included'],
  ['service', 'the domain service and its like'],
  ['host', 'a driver or the storage service of a host: speaks and listens as its own host and no other'],
];

export function rolesPage(): string {
  const list = (subjects: readonly string[]): string[] => subjects.map((subject) => `- \`${subject}\``);
  return [
    '# Roles',
    '',
    'Made from the permission table by `npm run docs`. The NATS server enforces it.',
    '',
    ...roles.flatMap(([role, what]) => {
      const { publish, subscribe, responses } = permissionsOf(role, { name: 'NAME', host: 'HOST' });
      return [
        `## ${role}`,
        '',
        `${what[0]!.toUpperCase()}${what.slice(1)}.`,
        '',
        'May publish:',
        '',
        ...list(publish.allow),
        ...(responses ? ['- answers to what it was asked'] : []),
        '',
        ...(publish.deny ? ['but not:', '', ...list(publish.deny), ''] : []),
        'May subscribe to:',
        '',
        ...list(subscribe.allow),
        '',
      ];
    }),
  ].join('\n');
}
