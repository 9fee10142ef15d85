ENGLISH={"example.cup":"the cup","example.dahlia":"the dahlia","example.rocket":"the rocket","example.astronaut":"the astronaut","example.moon":"the pink moon"}
