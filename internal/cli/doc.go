// Package cli is what the two commands share: how they start, what they say when
// something fails, and their exit statuses. Nothing here is known to the library.
package cli
