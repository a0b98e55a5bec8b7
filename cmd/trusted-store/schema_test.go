package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/trusted-store/trusted-store/cryptsetup"
	"github.com/trusted-store/trusted-store/internal/cli"
	"github.com/trusted-store/trusted-store/internal/reference"
	"github.com/trusted-store/trusted-store/storage"
)

// What verbs print with --json that has no type of its own.
type (
	closedOutput struct {
		Name   string `json:"name"`
		Closed bool   `json:"closed"`
	}
	grownOutput struct {
		Name   string          `json:"name"`
		Growth *storage.Growth `json:"growth"`
	}
	resizedOutput struct {
		Name        string          `json:"name"`
		DeviceBytes uint64          `json:"device_bytes"`
		Sectors     uint64          `json:"sectors"`
		Growth      *storage.Growth `json:"growth"`
	}
	headerOutput struct {
		Device            string `json:"device"`
		Fingerprint       string `json:"fingerprint"`
		VolumeFingerprint string `json:"volume_fingerprint"`
		Epoch             uint64 `json:"epoch,omitempty"`
	}
	keyOutput struct {
		headerOutput
		Slot    int  `json:"slot"`
		Added   bool `json:"added,omitempty"`
		Changed bool `json:"changed,omitempty"`
		Removed bool `json:"removed,omitempty"`
	}
	recoveredOutput struct {
		headerOutput
		Recovered bool                 `json:"recovered"`
		Copy      string               `json:"copy,omitempty"`
		Keyslots  []cryptsetup.Keyslot `json:"keyslots"`
	}
	authenticatedOutput struct {
		headerOutput
		Renewed  bool                 `json:"renewed"`
		Keyslots []cryptsetup.Keyslot `json:"keyslots"`
	}
	backingOutput struct {
		File  string `json:"file"`
		Bytes uint64 `json:"bytes"`
	}
	attachedOutput struct {
		File   string `json:"file"`
		Device string `json:"device"`
	}
	detachedOutput struct {
		Detached string `json:"detached"`
	}
	manifestOutput struct {
		APIVersion string           `json:"apiVersion"`
		Kind       string           `json:"kind"`
		Items      []map[string]any `json:"items"`
	}
)

var outputs = reference.Outputs{
	"create":          {storage.Status{}},
	"open":            {storage.Status{}},
	"close":           {closedOutput{}},
	"grow":            {grownOutput{}},
	"resize":          {resizedOutput{}},
	"verify":          {storage.Verification{}},
	"status":          {storage.Status{}, []storage.Status{}},
	"inspect":         {storage.Inspection{}},
	"doctor":          {storage.Diagnosis{}},
	"units":           {[]bootStore{}},
	"boot":            {storage.Status{}},
	"key list":        {[]cryptsetup.Keyslot{}},
	"key add":         {keyOutput{}},
	"key change":      {keyOutput{}},
	"key remove":      {keyOutput{}},
	"authenticate":    {authenticatedOutput{}},
	"recover":         {recoveredOutput{}},
	"volume create":   {backingOutput{}},
	"volume attach":   {attachedOutput{}},
	"volume detach":   {detachedOutput{}},
	"volume manifest": {manifestOutput{}},
}

// The committed schemas are those of the types.
func TestSchemas(t *testing.T) {
	reference.RequireSchemas(t, outputs, "trusted-store", *writeReference)
}

const exitNotInSchema = 99

// checkedMain is main for scripts: what is printed with --json must fit its schema.
func checkedMain() { os.Exit(cli.Main("trusted-store", runChecked)) }

func runChecked(ctx context.Context, args []string, out, errOut io.Writer) int {
	if !slices.Contains(args, "--json") {
		return run(ctx, args, out, errOut)
	}
	var printed bytes.Buffer
	status := run(ctx, args, io.MultiWriter(out, &printed), errOut)
	if printed.Len() == 0 {
		return status
	}
	if err := outputs.Check(commandTree(), args, printed.Bytes()); err != nil {
		fmt.Fprintln(errOut, "not in the schema:", err)
		return exitNotInSchema
	}
	return status
}

// What does not fit is noticed: of another type, and beside what is described.
func TestOutputMustFitItsSchema(t *testing.T) {
	for _, wrong := range []string{`{"name":"a","closed":"yes"}`, `{"name":"a"}`, `{"name":"a","closed":true,"more":1}`, `[]`, `no JSON`} {
		require.Error(t, outputs.Check(commandTree(), []string{"close", "a", "--json"}, []byte(wrong)), wrong)
	}
	require.NoError(t, outputs.Check(commandTree(), []string{"close", "a", "--json"}, []byte(`{"name":"a","closed":true}`)))
	require.ErrorContains(t, outputs.Check(commandTree(), []string{"volume", "--json"}, []byte(`{}`)), "has no schema")
}
