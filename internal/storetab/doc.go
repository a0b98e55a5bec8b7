// Package storetab reads the table of the stores that are made at boot, one line
// each, finds their devices, and names the systemd units that make them.
//
// A line is NAME DEVICE MOUNTPOINT [OPTIONS], with blanks or tabs between; a line
// that begins with # is a comment. Nothing is quoted or escaped. A file is taken as
// a whole or not at all.
package storetab
