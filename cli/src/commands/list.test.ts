import { filterOf } from './list';

test.each([
  ['no option', {}, { active: true }],
  ['--all', { all: true }, {}],
  ['--inactive', { inactive: true }, { active: false }],
  ['--inactive --all', { inactive: true, all: true }, {}],
  ['--state-shutoff', { stateShutoff: true }, { states: ['shutoff'] }],
  ['--state-running --state-paused', { stateRunning: true, statePaused: true }, { states: ['running', 'paused'] }],
  ['--all --persistent', { all: true, persistent: true }, { persistent: true }],
  ['--all --transient', { all: true, transient: true }, { persistent: false }],
  ['--all --persistent --transient', { all: true, persistent: true, transient: true }, {}],
  ['--no-autostart', { autostart: false }, { active: true, autostart: false }],
  ['--with-managed-save', { withManagedSave: true }, { managedSave: true }],
  ['--all --without-managed-save', { all: true, withoutManagedSave: true }, { managedSave: false }],
  ['--host h2', { host: 'h2' }, { active: true, host: 'h2' }],
])('list with %s asks for', (_words, chosen, filter) => expect(filterOf(chosen)).toEqual(filter));
