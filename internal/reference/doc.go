// Package reference writes what there is to read about a command, all of it from the
// tree of verbs that --help shows: a page for docs/, manual pages and shell
// completion. Only tests import it, so that no command holds what makes pages.
package reference
