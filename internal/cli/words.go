package cli

import (
	"regexp"
	"strings"
)

// names are what people say for a function or a constant of package storage.
var names = map[string]string{
	"AttachBacking": "trusted-store volume attach",
	"Authenticate":  "trusted-store authenticate",
	"Close":         "trusted-store close",
	"Create":        "trusted-store create",
	"Inspect":       "trusted-store inspect",
	"Keys":          "trusted-store key list",
	"List":          "trusted-store status",
	"Open":          "trusted-store open",
	"Recover":       "trusted-store recover",
	"RemoveKey":     "trusted-store key remove",
	"StatusOf":      "trusted-store status",
	"VerifyAll":     "--all",
}

// flags are what people say for an option of the library.
var flags = map[string]string{
	"AuthenticateOptions.AcceptChanged": "--accept-changed",
	"CreateOptions.Cipher":              "--cipher",
	"CreateOptions.Key":                 "--key",
	"CreateOptions.Overwrite":           "--force",
	"CreateOptions.Swap":                "trusted-store create DEVICE --swap",
	"KeyOptions.RemoveLast":             "--force",
	"OpenOptions.Cipher":                "--cipher",
	"OpenOptions.MaxArgon2Memory":       "--max-argon2-memory",
	"RecoverOptions.Copy":               "--copy",
	"Options.MaxBytes":                  "--max-bytes",
}

var (
	functionName = regexp.MustCompile(`\bstorage\.([A-Z]\w*)(?:\(([^()]*)\))?`)
	optionName   = regexp.MustCompile(`\b\w*Options\.[A-Z]\w*`)
)

// InCommand says with commands and flags what a hint of the library says with its
// functions and options: storage.Close(NAME) is "trusted-store close NAME".
func InCommand(hint string) string {
	hint = functionName.ReplaceAllStringFunc(hint, func(call string) string {
		m := functionName.FindStringSubmatch(call)
		if names[m[1]] == "" {
			return call
		}
		return strings.TrimSpace(names[m[1]] + " " + m[2])
	})
	return optionName.ReplaceAllStringFunc(hint, func(option string) string {
		if flags[option] == "" {
			return option
		}
		return flags[option]
	})
}
