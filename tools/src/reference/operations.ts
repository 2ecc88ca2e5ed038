/** The reference page of every operation and every error, from the contracts. */
import {
  contracts,
  domainEventClasses,
  domainStates,
  endpointSubject,
  errorsOf,
  errorTable,
  lifecycleEvents,
  queueSubject,
  moveEventTypes,
  storageEventTypes,
  type Contract,
} from '@virtbus/shared';

export function operationsPage(): string {
  const table = contracts.map((c) => {
    const queue = c.queue ? `\`${queueSubject(c, c.on === 'one' ? 'ID' : undefined)}\`` : '';
    return `| [${c.name}](#${anchor(c)}) | \`${shown(c)}\` | ${c.role} | ${c.timeoutMs / 1000} s | ${queue} |`;
  });
  return [
    '# Operations',
    '',
    'Made from the contracts by `npm run docs`; a test fails when it is stale.',
    '',
    '`ID` is the uuid or the name of a domain; for hosts, pools, volumes and chains it is the name of the host. In a name',
    'every character outside `A-Z a-z 0-9 - _` is written `=XX`, its bytes in hex: `web.1` is `web=2E1`.',
    '',
    '| operation | subject | role | time-out | queue |',
    '|---|---|---|---|---|',
    ...table,
    '',
    ...contracts.flatMap(section),
  ].join('\n');
}

const shown = (c: Contract): string => endpointSubject(c).replace('.*.', '.ID.');
const anchor = (c: Contract): string => c.name.replace('.', '');

function section(c: Contract): string[] {
  return [
    `## ${c.name}`,
    '',
    c.doc,
    '',
    `Schemas: [request](schemas/${c.name}.request.json), [response](schemas/${c.name}.response.json).`,
    '',
    '```sh',
    `nats req ${shown(c)} '${JSON.stringify(c.example).replaceAll("'", `'\\''`)}'`,
    '```',
    '',
    `Errors: ${errorsOf(c)
      .map((code) => `[${code}](errors.md#${code.toLowerCase()})`)
      .join(', ')}.`,
    '',
  ];
}

export function errorsPage(): string {
  const rows = Object.entries(errorTable).map(([code, { number, retry }]) => {
    const users = contracts.filter((c) => c.errors.includes(code as never)).map(({ name }) => name);
    return `| <a id="${code.toLowerCase()}"></a>${code} | ${number} | ${retry} | ${users.join(', ')} |`;
  });
  return [
    '# Errors',
    '',
    'Made from the error table by `npm run docs`. An answer that is an error has the headers `Nats-Service-Error`',
    "(its text) and `Nats-Service-Error-Code` (libvirt's number), and the body `{code, message, details}`.",
    '*Retry* tells whether the same call can succeed later.',
    '',
    '| code | libvirt number | retry | declared by |',
    '|---|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

export function eventsPage(): string {
  const classes = Object.entries(domainEventClasses).map(
    ([name, { number, types }]) => `| ${name} | ${number ?? '–'} | ${types.join(', ')} |`,
  );
  const lifecycle = Object.entries(lifecycleEvents).map(
    ([type, { number, details }]) =>
      `| ${type} | ${number} | ${Object.entries(details)
        .map(([detail, n]) => `${detail} ${n}`)
        .join(', ')} |`,
  );
  const states = Object.entries(domainStates).map(
    ([state, { number, reasons }]) =>
      `| ${state} | ${number} | ${Object.entries(reasons)
        .map(([reason, n]) => `${reason} ${n}`)
        .join(', ')} |`,
  );
  return [
    '# Events and states',
    '',
    'Made from the model by `npm run docs`. The subject of an event is',
    '`virtbus.v1.event.domain.UUID.CLASS.TYPE.HOST`; the body is JSON ([schema](schemas/event.json)), its headers are',
    'CloudEvents attributes (`ce-id`, `ce-type`, `ce-source`, `ce-subject`, `ce-time`), `Virtbus-Revision`,',
    '`Virtbus-Epoch`, and `Virtbus-Command` when a command caused it.',
    '',
    '## Classes',
    '',
    "| class | libvirt's event id | types |",
    '|---|---|---|',
    ...classes,
    '',
    '## Storage',
    '',
    'Events of a host’s pools and chains: `virtbus.v1.event.pool.NAME.TYPE.HOST`, `virtbus.v1.event.chain.PATH.TYPE.HOST`',
    '([schema](schemas/storage-event.json)).',
    '',
    '| of | types |',
    '|---|---|',
    ...Object.entries(storageEventTypes).map(([entity, types]) => `| ${entity} | ${types.join(', ')} |`),
    '',
    '## Migrations and drains',
    '',
    'The migration service tells of each migration, `virtbus.v1.event.migration.DOMAIN.TYPE.SOURCE`',
    '([schema](schemas/migration-event.json)), and of each host that is emptied, `virtbus.v1.event.drain.ID.TYPE.HOST`',
    '([schema](schemas/drain-event.json)).',
    '',
    '| of | types |',
    '|---|---|',
    ...Object.entries(moveEventTypes).map(([entity, types]) => `| ${entity} | ${types.join(', ')} |`),
    '',
    '## Lifecycle',
    '',
    '| type | number | details |',
    '|---|---|---|',
    ...lifecycle,
    '',
    '## States',
    '',
    '| state | number | reasons |',
    '|---|---|---|',
    ...states,
    '',
  ].join('\n');
}
