package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMirrorsAreReadFromWhatAptWouldFetch(t *testing.T) {
	require.Equal(t, []string{"http://a.example/debian", "https://b.example/d"}, releaseMirrors(`'http://a.example/debian/dists/trixie/InRelease' a_InRelease 0 
'http://a.example/debian/dists/trixie-updates/InRelease' a_InRelease 0 
'http://s.example/debian-security/dists/trixie-security/InRelease' s_InRelease 0 
'https://b.example/d/dists/stable/InRelease' b_InRelease 0 
'http://a.example/debian/dists/sid/InRelease' a_InRelease 0 
'http://c.example/dists/trixie/main/binary-amd64/Packages.xz' c_Packages 0 
'http://flat.example/./InRelease' flat 0 
something else
`))
}

// TestMirrorsOfBothFormats has apt read sources of its own, in the two formats that
// it knows.
func TestMirrorsOfBothFormats(t *testing.T) {
	if _, err := exec.LookPath("apt-get"); err != nil {
		t.Skip("no apt-get on this machine: setup cannot fetch kernels here")
	}
	dir := t.TempDir()
	writeFile(t, dir+"/state/lists/partial/x", nil)
	writeFile(t, dir+"/parts/a.list", []byte("deb [arch=amd64] http://list.example/debian/ bookworm main\n"))
	writeFile(t, dir+"/parts/b.sources", []byte("Types: deb\nURIs: http://deb822.example/debian\nSuites: trixie trixie-updates\nComponents: main\n"))
	writeFile(t, dir+"/conf", []byte(`Dir::Etc::sourcelist "`+dir+`/none"; Dir::Etc::sourceparts "`+dir+`/parts"; Dir::State "`+dir+`/state";`))
	t.Setenv("APT_CONFIG", dir+"/conf")
	got, err := mirrors(context.Background())
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"http://list.example/debian", "http://deb822.example/debian"}, got)

	writeFile(t, dir+"/conf", []byte(`Dir::Etc::sourcelist "`+dir+`/none"; Dir::Etc::sourceparts "`+dir+`/none"; Dir::State "`+dir+`/state";`))
	_, err = mirrors(context.Background())
	require.ErrorContains(t, err, "no mirror of Debian")
}

func TestSourceLineNamesTheKeysThatExist(t *testing.T) {
	keys := t.TempDir() + "/keys"
	require.Equal(t, "deb [arch=s390x target=Packages] http://m/debian sid main\n", sourceLine("http://m/debian", "sid", "s390x", keys))
	writeFile(t, keys, nil)
	require.Equal(t, "deb [arch=s390x target=Packages signed-by="+keys+"] http://m/debian sid main\n", sourceLine("http://m/debian", "sid", "s390x", keys))
}

func TestOffersAreRead(t *testing.T) {
	s := &suite{name: "sid"}
	require.Equal(t, []offer{
		{"linux-image-6.1.0-50-cloud-amd64", "6.1.176-1", s}, {"cryptsetup-bin", "2:2.8.8-1", s},
	}, s.offers(`linux-image-6.1.0-50-cloud-amd64 |  6.1.176-1 | http://m/debian bookworm/main amd64 Packages
cryptsetup-bin |  2:2.8.8-1 | http://m/debian sid/main amd64 Packages
`))
}

func TestLibrariesOfPackages(t *testing.T) {
	require.Equal(t, []string{"cryptsetup-bin", "libc6", "libuuid1"}, libraries(`cryptsetup-bin
 |Depends: systemd
  Depends: libc6
  Depends: libuuid1
systemd
  Depends: libnone
libc6
libuuid1
libc6
<libvirtual>
`, []string{"cryptsetup-bin"}))
}

// names are the names and versions of bundles.
func names(list []bundle) [][]string {
	var out [][]string
	for _, b := range list {
		var one []string
		for _, versions := range b {
			for _, o := range versions {
				one = append(one, o.String())
			}
		}
		out = append(out, one)
	}
	return out
}

func TestNewestReleaseOfASeriesComesFirst(t *testing.T) {
	var all []offer
	for _, nv := range [][2]string{
		{"linux-image-6.12.90+deb13-cloud-amd64", "6.12.90-1"}, {"linux-image-6.12.117+deb13-cloud-amd64", "6.12.117-1"},
		{"linux-image-6.12.117+deb13-cloud-amd64", "6.12.117-2"}, {"linux-image-6.12.90+deb13.1-cloud-amd64", "6.12.90-2"},
		{"linux-image-6.1.0-56-cloud-amd64", "6.1.190-1"}, {"linux-image-6.12.118+deb13-amd64", "6.12.118-1"},
		{"linux-image-cloud-amd64", "6.12.117-1"},
		{"linux-image-7.3.4+deb13-cloud-amd64", "7.3.4-1"}, {"linux-modules-7.3.4+deb13-cloud-amd64", "7.3.4-1"},
		{"linux-binary-7.3.4+deb13-cloud-amd64", "7.3.4-1"}, {"linux-binary-unsigned-7.3.4+deb13-cloud-amd64", "7.3.4-1"},
	} {
		all = append(all, offer{name: nv[0], version: nv[1]})
	}
	b, err := kernelBundles(all, "6.12", "cloud-amd64")
	require.NoError(t, err)
	require.Equal(t, [][]string{
		{"linux-image-6.12.117+deb13-cloud-amd64=6.12.117-2", "linux-image-6.12.117+deb13-cloud-amd64=6.12.117-1"},
		{"linux-image-6.12.90+deb13.1-cloud-amd64=6.12.90-2"},
		{"linux-image-6.12.90+deb13-cloud-amd64=6.12.90-1"},
	}, names(b))
	b, err = kernelBundles(all, newest, "cloud-amd64")
	require.NoError(t, err)
	require.Equal(t, []string{
		"linux-image-7.3.4+deb13-cloud-amd64=7.3.4-1", "linux-modules-7.3.4+deb13-cloud-amd64=7.3.4-1",
		"linux-binary-7.3.4+deb13-cloud-amd64=7.3.4-1",
	}, names(b)[0])
}

func TestSeriesOfAVersion(t *testing.T) {
	require.True(t, inSeries("6.1um4+b13", "6.1"))
	require.False(t, inSeries("6.12um1+b22", "6.1"))
	require.True(t, inSeries("7.2um1", newest))
	require.False(t, inSeries("unsigned-7.2", newest))
	require.False(t, inSeries("", newest))
}

func TestGroupWantsEveryPackage(t *testing.T) {
	_, err := group(nil, []string{"libnone"})
	require.ErrorContains(t, err, "libnone")
}

// TestProgramGetsAnotherLinker copies a program of this machine and starts it by
// a linker under another name.
func TestProgramGetsAnotherLinker(t *testing.T) {
	const host = "/lib64/ld-linux-x86-64.so.2"
	if _, err := os.Stat(host); err != nil {
		t.Skip("the programs of this machine have no linker for x86-64")
	}
	path, err := exec.LookPath("true")
	require.NoError(t, err)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	dir := t.TempDir()
	program := filepath.Join(dir, "true")
	writeFile(t, program, text)
	require.NoError(t, os.Chmod(program, 0o755))
	require.NoError(t, setInterpreter(program, filepath.Join(dir, "ld.so")))
	require.ErrorIs(t, exec.Command(program).Run(), os.ErrNotExist, "started by the linker of the host")
	require.NoError(t, os.Symlink(host, filepath.Join(dir, "ld.so")))
	require.NoError(t, exec.Command(program).Run())

	writeFile(t, program, moduleImage(t, ""))
	require.ErrorContains(t, setInterpreter(program, "/x"), "without a dynamic linker")
}

func TestFetchedNamesAreChecked(t *testing.T) {
	_, err := wanted(t.TempDir(), []string{"uml-7.0"})
	require.ErrorContains(t, err, `"uml-7.0"`)
	require.ErrorContains(t, err, "uml-newest")
	list, err := wanted(t.TempDir(), nil)
	require.NoError(t, err)
	require.Len(t, list, len(kernelSuites)+5)
}
