package reference

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/invopop/jsonschema"
	check "github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/spf13/cobra"

	"github.com/trusted-store/trusted-store/cryptsetup"
)

// Outputs has what each verb prints with --json: a value of each type that it can be.
// A verb is named as in "key list".
type Outputs map[string][]any

const module = "github.com/trusted-store/trusted-store"

// Schemas are the JSON schemas, by the file names that they have in docs/schemas. They
// describe this version: exactly these names. With source, the module's directory,
// they say what its comments do.
func (o Outputs) Schemas(program, source string) (map[string][]byte, error) {
	r := jsonschema.Reflector{DoNotReference: true, ExpandedStruct: true, Anonymous: true, Mapper: mapped}
	if source != "" {
		if err := addComments(&r, source); err != nil {
			return nil, err
		}
	}
	all := map[string][]byte{}
	for verb, values := range o {
		schema := reflected(&r, values)
		schema.Version = jsonschema.Version
		schema.Title = program + " " + verb + " --json"
		text, err := json.MarshalIndent(schema, "", "  ")
		if err != nil {
			return nil, err
		}
		all[program+"-"+strings.ReplaceAll(verb, " ", "-")+".json"] = append(text, '\n')
	}
	return all, nil
}

func reflected(r *jsonschema.Reflector, values []any) *jsonschema.Schema {
	if len(values) == 1 {
		s := r.Reflect(values[0])
		s.Version = ""
		return s
	}
	either := &jsonschema.Schema{}
	for _, v := range values {
		either.AnyOf = append(either.AnyOf, reflected(r, []any{v}))
	}
	return either
}

// mapped are types that write their JSON themselves.
func mapped(t reflect.Type) *jsonschema.Schema {
	if t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		return &jsonschema.Schema{Type: "string"}
	}
	if t == reflect.TypeFor[cryptsetup.KDF]() {
		return &jsonschema.Schema{Type: "object", Description: "the key derivation function, by its name, with its parameters"}
	}
	return nil
}

// addComments wants paths as they are in the module.
func addComments(r *jsonschema.Reflector, source string) error {
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	if err := os.Chdir(source); err != nil {
		return err
	}
	var errs []error
	for _, dir := range []string{"storage", "cryptsetup", "integrity"} {
		errs = append(errs, r.AddGoComments(module, dir))
	}
	return errors.Join(append(errs, os.Chdir(here))...)
}

// Check holds what a command line with --json printed against its verb's schema.
func (o Outputs) Check(root *cobra.Command, args []string, output []byte) error {
	c, _, err := root.Find(args)
	if err != nil {
		return err
	}
	verb := strings.TrimSpace(strings.TrimPrefix(c.CommandPath(), root.Name()))
	values, known := o[verb]
	if !known {
		return fmt.Errorf("%q has no schema: add the type of what it prints to outputs", verb)
	}
	schemas, err := Outputs{verb: values}.Schemas(root.Name(), "")
	if err != nil {
		return err
	}
	for name, schema := range schemas {
		return fits(name, schema, output)
	}
	return nil
}

func fits(name string, schema, output []byte) error {
	compiler := check.NewCompiler()
	document, err := check.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		return err
	}
	if err := compiler.AddResource(name, document); err != nil {
		return err
	}
	compiled, err := compiler.Compile(name)
	if err != nil {
		return err
	}
	value, err := check.UnmarshalJSON(bytes.NewReader(output))
	if err != nil {
		return fmt.Errorf("%s: the output is no JSON: %w", name, err)
	}
	return compiled.Validate(value)
}

// WriteSchemas writes them to a directory, and removes those of verbs that are gone.
func WriteSchemas(dir, program string, schemas map[string][]byte) error {
	old, err := filepath.Glob(filepath.Join(dir, program+"-*.json"))
	if err != nil {
		return err
	}
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	for name, text := range schemas {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}
