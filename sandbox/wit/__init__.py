"""What a component says it is: its world, and how its types look as JSON. Pure; imports no other stage."""
