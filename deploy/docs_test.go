package deploy_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// declaredTests are the tests and fuzz tests of every package, as DIRECTORY.NAME.
func declaredTests(t *testing.T) map[string]bool {
	t.Helper()
	there := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z]\w*)\(\w+ \*testing\.[TF]\)`)
	err := filepath.WalkDir("..", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		dir := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(path)), "../")
		for _, found := range declared.FindAllSubmatch(text, -1) {
			there[dir+"."+string(found[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return there
}

// checkPromises says what is wrong with a document of promises: a test that is not there, one without its directory, as names
// are not unique, and a row of a table of promises that names none, which is a wish.
func checkPromises(doc string, there map[string]bool) (wrong []string, named int) {
	test := regexp.MustCompile(`[\w/]*\.?\b(?:Test|Fuzz)[A-Z]\w*`)
	promises := false
	for line := range strings.Lines(doc) {
		line = strings.TrimSpace(line)
		names := test.FindAllString(line, -1)
		named += len(names)
		for _, name := range names {
			if !there[name] {
				wrong = append(wrong, "no such test: "+name)
			}
		}
		switch cells := strings.Split(line, "|"); {
		case !strings.HasPrefix(line, "|"):
			promises = false
		case strings.HasPrefix(line, "| promise |"):
			promises = true
		case promises && !strings.HasPrefix(line, "| ---") && (len(cells) != 4 || !test.MatchString(cells[2])):
			wrong = append(wrong, "no test in: "+line)
		}
	}
	return wrong, named
}

// docs/security.md promises nothing that no test holds the product to: every row names one, and every test that it names is where
// it is said to be.
func TestPromisesAreTested(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	wrong, named := checkPromises(string(doc), declaredTests(t))
	for _, w := range wrong {
		t.Errorf("docs/security.md: %s", w)
	}
	if named < 80 {
		t.Errorf("only %d tests are named", named)
	}
}

// What is not there, or not named, is found.
func TestEmptyPromisesAreFound(t *testing.T) {
	t.Parallel()
	there := map[string]bool{"pki.TestOne": true, "a/b.FuzzTwo": true}
	const head = "| promise | test |\n| --- | --- |\n"
	for doc, want := range map[string]int{
		head + "| x | `pki.TestOne`, on hosts `a/b.FuzzTwo` |\n":           0,
		"see `pki.TestOne`\n| other | table |\n| --- | --- |\n| x | y |\n": 0,
		head + "| x | tests named there |\n":                               1,
		head + "| see `pki.TestOne` |  |\n":                                1,
		head + "| x | `TestOne` |\n":                                       1,
		head + "| x | `a/b.TestOne` |\n":                                   1,
		"see `pki.TestThree`\n":                                            1,
	} {
		if wrong, _ := checkPromises(doc, there); len(wrong) != want {
			t.Errorf("%q: %q, want %d", doc, wrong, want)
		}
	}
}
