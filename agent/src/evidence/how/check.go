package main // check.go: a bundle, checked by golang.org/x/mod/sumdb

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

var manifest struct {
	First, End, Size int64
	Start            int64 `json:"start_size"`
}

// The hashes of the bundle's leaves, from manifest.First on.
var leaves []tlog.Hash

func fail(format string, values ...interface{}) {
	fmt.Fprintf(os.Stderr, "FAILED: "+format+"\n", values...)
	os.Exit(1)
}

func load(path string, into interface{}) {
	data, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, into)
	}
	if err != nil {
		fail("%s: %v", path, err)
	}
}

// The hashes that a proof lists.
func list(texts []string) (hashes []tlog.Hash) {
	for _, text := range texts {
		data, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(data) != tlog.HashSize {
			fail("%q is no hash", text)
		}
		var hash tlog.Hash
		copy(hash[:], data)
		hashes = append(hashes, hash)
	}
	return hashes
}

// What a checkpoint says, if the key has signed it.
func checkpoint(path string, verifier note.Verifier) tlog.Tree {
	text, err := os.ReadFile(path)
	if err != nil {
		fail("%v", err)
	}
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		fail("%s: %v", path, err)
	}
	lines := strings.SplitN(opened.Text, "\n", 2)
	tree, err := tlog.ParseTree([]byte("go.sum database tree\n" + lines[1]))
	if err != nil {
		fail("%s: %v", path, err)
	}
	if lines[0] != verifier.Name() {
		fail("%s is of the ledger %q", path, lines[0])
	}
	return tree
}

// Tiles of level 0 follow from the leaves; the others are in the bundle.
type tiles struct{}

func (tiles) Height() int                     { return height }
func (tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (tiles) ReadTiles(wanted []tlog.Tile) (all [][]byte, err error) {
	for _, tile := range wanted {
		from := tile.N << height
		if to := from + int64(tile.W); tile.L == 0 && from >= manifest.First && to <= manifest.End {
			var data []byte
			for _, hash := range leaves[from-manifest.First : to-manifest.First] {
				data = append(data, hash[:]...)
			}
			all = append(all, data)
			continue
		}
		data, err := os.ReadFile(strings.Replace(tile.Path(), "tile/8/", "tile/", 1))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func main() {
	if len(os.Args) != 2 {
		fail("say the file with the gateway's verifier key")
	}
	key, err := os.ReadFile(os.Args[1])
	if err != nil {
		fail("%v", err)
	}
	verifier, err := note.NewVerifier(strings.TrimSpace(string(key)))
	if err != nil {
		fail("%s: %v", os.Args[1], err)
	}
	load("manifest.json", &manifest)
	head := checkpoint("checkpoint/end", verifier)
	if head.N != manifest.Size {
		fail("the checkpoint is of %d leaves, the manifest says %d", head.N, manifest.Size)
	}

	// Every leaf stands at its place, and none is missing.
	parts, _ := filepath.Glob("leaves/*.jsonl")
	sort.Strings(parts)
	for _, part := range parts {
		file, err := os.Open(part)
		if err != nil {
			fail("%v", err)
		}
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			var says struct{ Index int64 }
			index := manifest.First + int64(len(leaves))
			if err := json.Unmarshal(lines.Bytes(), &says); err != nil || says.Index != index {
				fail("%s: at the place of leaf %d stands %d", part, index, says.Index)
			}
			leaves = append(leaves, tlog.RecordHash(lines.Bytes()))
		}
		if err := lines.Err(); err != nil {
			fail("%s: %v", part, err)
		}
		file.Close()
	}
	if count := int64(len(leaves)); count != manifest.End-manifest.First || count == 0 {
		fail("%d leaves, the manifest says %d", count, manifest.End-manifest.First)
	}

	// Every leaf is the one that the signed tree has there.
	reader := tlog.TileHashReader(head, tiles{})
	for from := manifest.First; from < manifest.End; from += 1 << height {
		var places []int64
		for index := from; index < from+1<<height && index < manifest.End; index++ {
			places = append(places, tlog.StoredHashIndex(0, index))
		}
		hashes, err := reader.ReadHashes(places)
		if err != nil {
			fail("leaves from %d on are not in the signed tree: %v", from, err)
		}
		for offset, hash := range hashes {
			if index := from + int64(offset); hash != leaves[index-manifest.First] {
				fail("leaf %d is not in the signed tree", index)
			}
		}
	}

	// The proof of each session's leaf holds.
	var sessions struct {
		Proofs []struct {
			Session string
			Index   int64
			Hashes  []string
		}
	}
	load("proof/sessions.json", &sessions)
	for _, one := range sessions.Proofs {
		if one.Index < manifest.First || one.Index >= manifest.End {
			fail("session %s: leaf %d is not in the bundle", one.Session, one.Index)
		}
		leaf := leaves[one.Index-manifest.First]
		if err := tlog.CheckRecord(list(one.Hashes), head.N, head.Hash, one.Index, leaf); err != nil {
			fail("session %s: %v", one.Session, err)
		}
	}

	// The ledger continues what was signed before the period.
	if manifest.Start > 0 {
		start := checkpoint("checkpoint/start", verifier)
		var proof struct{ Hashes []string }
		load("proof/consistency.json", &proof)
		if start.N != manifest.Start {
			fail("checkpoint/start is of %d leaves", start.N)
		}
		if start.N == head.N && start.Hash != head.Hash {
			fail("the two checkpoints differ")
		}
		if start.N < head.N {
			if err := tlog.CheckTree(list(proof.Hashes), head.N, head.Hash, start.N, start.Hash); err != nil {
				fail("the ledger does not continue checkpoint/start: %v", err)
			}
		}
	}
	fmt.Printf("OK: %d leaves, %d sessions, signed by %s\n", len(leaves), len(sessions.Proofs), verifier.Name())
} // check.go ends
